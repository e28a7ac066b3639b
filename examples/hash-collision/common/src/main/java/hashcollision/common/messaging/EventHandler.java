package hashcollision.common.messaging;

import java.sql.Connection;
import java.sql.SQLException;

/** Handles an event in the transaction of a connection. */
@FunctionalInterface
public interface EventHandler {
    /** @throws IllegalArgumentException when the event can never be handled */
    void handle(Connection connection, Event event) throws SQLException;
}
