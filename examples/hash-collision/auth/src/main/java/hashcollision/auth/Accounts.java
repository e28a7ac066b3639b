package hashcollision.auth;

import hashcollision.common.database.Database;
import hashcollision.common.database.Sql;
import hashcollision.common.messaging.EventTypes;
import hashcollision.common.messaging.Outbox;
import java.sql.SQLException;
import java.util.List;
import java.util.Optional;

/** The accounts in the database. */
final class Accounts {
    record Account(long id, String name, String passwordHash) {}

    private final Database database;
    private final Outbox outbox;

    Accounts(Database database, Outbox outbox) {
        this.database = database;
        this.outbox = outbox;
    }

    /** Adds an account and tells the other services; empty when the name is taken. */
    Optional<Long> register(String name, String passwordHash) throws SQLException {
        return outbox.write(connection -> {
            Optional<Long> id = Sql.first(connection,
                    "INSERT INTO account (name, password_hash) VALUES (?, ?) ON CONFLICT DO NOTHING RETURNING id",
                    row -> row.getLong(1), name, passwordHash);
            if (id.isPresent()) {
                outbox.add(connection, EventTypes.USER_REGISTERED,
                        List.of(new EventTypes.UserRegistered(id.get(), name)));
            }
            return id;
        });
    }

    Optional<Account> find(String name) throws SQLException {
        return database.read(connection -> Sql.first(connection,
                "SELECT id, name, password_hash FROM account WHERE lower(name) = lower(?)",
                row -> new Account(row.getLong(1), row.getString(2), row.getString(3)), name));
    }
}
