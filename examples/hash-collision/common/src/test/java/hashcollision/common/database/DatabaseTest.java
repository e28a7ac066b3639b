package hashcollision.common.database;

import static org.junit.jupiter.api.Assertions.assertTrue;

import com.zaxxer.hikari.HikariConfig;
import com.zaxxer.hikari.HikariDataSource;
import java.lang.reflect.InvocationHandler;
import java.lang.reflect.Method;
import java.lang.reflect.Proxy;
import java.sql.Connection;
import java.sql.SQLException;
import java.util.concurrent.atomic.AtomicBoolean;
import javax.sql.DataSource;
import org.junit.jupiter.api.Test;

class DatabaseTest {
    private final AtomicBoolean away = new AtomicBoolean(true);

    @Test
    void aServerThatGoesAwayInTheFirstConversationIsFoundWhenItComesBack() throws SQLException {
        HikariConfig config = Database.poolOf("nowhere", "user", "secret");
        config.setJdbcUrl(null);
        config.setDataSource(standIn(DataSource.class, this::source));
        try (HikariDataSource pool = new HikariDataSource(config); Connection connection = pool.getConnection()) {
            assertTrue(connection.isValid(1));
        }
    }

    private Object source(Object source, Method method, Object[] words) {
        return method.getReturnType() == Connection.class ? standIn(Connection.class, this::connection) : nothing(method);
    }

    /** As PostgreSQL's: the level is asked of the server, and there is none of the number -1. */
    private Object connection(Object connection, Method method, Object[] words) throws SQLException {
        switch (method.getName()) {
            case "getTransactionIsolation" -> {
                if (away.getAndSet(false)) {
                    throw new SQLException("the server has gone", "08006");
                }
                return Connection.TRANSACTION_READ_COMMITTED;
            }
            case "setTransactionIsolation" -> {
                if ((int) words[0] == -1) {
                    throw new SQLException("Transaction isolation level -1 not supported.", "0A000");
                }
                return null;
            }
            case "isValid" -> {
                return true;
            }
            default -> {
                return nothing(method);
            }
        }
    }

    private static Object nothing(Method method) {
        Class<?> type = method.getReturnType();
        return type == boolean.class ? (Object) false : type == int.class ? (Object) 0 : null;
    }

    private static <T> T standIn(Class<T> type, InvocationHandler handler) {
        return type.cast(Proxy.newProxyInstance(type.getClassLoader(), new Class<?>[] {type}, handler));
    }
}
