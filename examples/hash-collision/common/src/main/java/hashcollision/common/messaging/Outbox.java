package hashcollision.common.messaging;

import hashcollision.common.Json;
import hashcollision.common.database.Database;
import hashcollision.common.database.Sql;
import java.sql.Connection;
import java.sql.SQLException;
import java.util.List;
import java.util.UUID;

/** Where a service leaves its events: in the database, together with the change they tell of. */
public final class Outbox {
    private final Database database;
    private final Runnable wakePublisher;

    Outbox(Database database, Runnable wakePublisher) {
        this.database = database;
        this.wakePublisher = wakePublisher;
    }

    /** Runs a transaction that may {@link #add} events, and sends them as soon as it is committed. */
    public <T> T write(Database.Work<T> work) throws SQLException {
        T result = database.write(work);
        wakePublisher.run();
        return result;
    }

    /** Leaves events of one type in the transaction of this connection. */
    public void add(Connection connection, String type, List<?> data) throws SQLException {
        Sql.update(connection, """
                INSERT INTO outbox (event_id, type, data)
                SELECT event_id, ?, data FROM unnest(?::uuid[], ?::text[]) WITH ORDINALITY AS e (event_id, data, place)
                ORDER BY place
                """, type,
                data.stream().map(event -> UUID.randomUUID().toString()).toArray(String[]::new),
                data.stream().map(Json::text).toArray(String[]::new));
    }
}
