package hashcollision.common.database;

import com.zaxxer.hikari.HikariConfig;
import com.zaxxer.hikari.HikariDataSource;
import hashcollision.common.AtStart;
import hashcollision.common.Backoff;
import hashcollision.common.Health;
import java.sql.Connection;
import java.sql.SQLException;
import java.sql.SQLTransientConnectionException;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * A service's own PostgreSQL database. It may be away at the start and at any later time: a thread waits for it,
 * brings its schema up to date, and from then on reports whether it is there.
 */
public final class Database implements AutoCloseable {
    /** Something done on one connection. */
    @FunctionalInterface
    public interface Work<T> {
        T run(Connection connection) throws SQLException;
    }

    private static final Logger LOG = LoggerFactory.getLogger(Database.class);
    private static final String HEALTH = "database";
    private static final long WATCH_MILLIS = 1000;

    private final HikariDataSource pool;
    private final Health health;
    private final Thread watcher;
    private volatile boolean migrated;

    public Database(String host, String name, String password, Health health) {
        this.pool = new HikariDataSource(poolOf(host, name, password));
        this.health = health;
        this.watcher = new Thread(this::watch, "database");
        this.watcher.setDaemon(true);
        health.expect(HEALTH);
    }

    @AtStart
    public void start() {
        watcher.start();
    }

    /** Runs statements that only read, or a single one that writes. */
    public <T> T read(Work<T> work) throws SQLException {
        try (Connection connection = connection()) {
            return work.run(connection);
        }
    }

    /** Runs statements as one transaction, which is undone when the work throws. */
    public <T> T write(Work<T> work) throws SQLException {
        try (Connection connection = connection()) {
            connection.setAutoCommit(false);
            try {
                T result = work.run(connection);
                connection.commit();
                return result;
            } catch (SQLException | RuntimeException | Error e) {
                rollBack(connection, e);
                throw e;
            }
        }
    }

    /** Whether a failure says that the server is away or going, not that a statement is wrong. */
    public static boolean isUnavailable(SQLException failure) {
        if (failure instanceof SQLTransientConnectionException) {
            return true;
        }
        String state = failure.getSQLState();
        // class 08: connection; 57P: the server stops or starts; 53: out of resources
        return state != null && (state.startsWith("08") || state.startsWith("57P") || state.startsWith("53"));
    }

    @Override
    public void close() {
        watcher.interrupt();
        pool.close();
    }

    private Connection connection() throws SQLException {
        if (!migrated) {
            throw new SQLTransientConnectionException("the schema is not ready");
        }
        return pool.getConnection();
    }

    private static void rollBack(Connection connection, Throwable cause) {
        try {
            connection.rollback();
        } catch (SQLException e) {
            cause.addSuppressed(e);
        }
    }

    private void watch() {
        Backoff backoff = Backoff.forConnections();
        boolean present = false;
        try {
            while (!Thread.currentThread().isInterrupted()) {
                boolean answers = answers();
                if (answers != present) {
                    LOG.info(answers ? "database is there" : "database is away");
                    health.set(HEALTH, answers);
                    present = answers;
                }
                if (answers) {
                    backoff.reset();
                    Thread.sleep(WATCH_MILLIS);
                } else {
                    backoff.pause();
                }
            }
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
        }
    }

    private boolean answers() {
        try {
            if (!migrated) {
                try (Connection connection = pool.getConnection()) {
                    connection.isValid(1);  // cheap, unlike the attempt to migrate what is not there
                }
                Migrations.run(pool);
                migrated = true;
            }
            read(connection -> Sql.first(connection, "SELECT 1", row -> row.getInt(1)));
            return true;
        } catch (SQLException e) {
            LOG.debug("database does not answer", e);
            return false;
        } catch (RuntimeException e) {
            LOG.warn("migration failed", e);
            return false;
        }
    }

    @AtStart
    static HikariConfig poolOf(String host, String name, String password) {
        HikariConfig config = new HikariConfig();
        config.setPoolName(name);
        // TCP stays inside the lab's own network; asking for TLS or Kerberos first would cost two round trips.
        config.setJdbcUrl("jdbc:postgresql://" + host + ":5432/" + name + "?sslmode=disable&gssEncMode=disable");
        config.setUsername(name);
        config.setPassword(password);
        config.setMaximumPoolSize(5);
        config.setMinimumIdle(1);
        // Without this, a server that goes away while it is asked for its own level leaves a pool that asks for level -1
        // ever after, and never has a connection.
        config.setTransactionIsolation("TRANSACTION_READ_COMMITTED");
        config.setConnectionTimeout(1000);
        config.setValidationTimeout(500);
        config.setInitializationFailTimeout(-1);  // start without the server
        config.addDataSourceProperty("ApplicationName", name);
        config.addDataSourceProperty("connectTimeout", "2");
        config.addDataSourceProperty("socketTimeout", "10");
        config.addDataSourceProperty("tcpKeepAlive", "true");
        config.addDataSourceProperty("prepareThreshold", "2");
        return config;
    }
}
