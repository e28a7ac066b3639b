package hashcollision.common.messaging;

import com.fasterxml.jackson.databind.JsonNode;
import com.rabbitmq.client.AMQP;
import com.rabbitmq.client.Channel;
import com.rabbitmq.client.Connection;
import com.rabbitmq.client.DefaultConsumer;
import com.rabbitmq.client.Envelope;
import hashcollision.common.AtStart;
import hashcollision.common.Backoff;
import hashcollision.common.Json;
import hashcollision.common.database.Database;
import hashcollision.common.database.Sql;
import java.io.IOException;
import java.sql.SQLException;
import java.util.UUID;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * Takes events from a queue and has each handled once.
 *
 * <p>An event is acknowledged after its transaction is committed. One that comes again is known by its id, which is
 * written in the same transaction. One that cannot be read goes to the queue of dead events.
 */
final class EventConsumer {
    private static final Logger LOG = LoggerFactory.getLogger(EventConsumer.class);
    private static final int PREFETCH = 64;

    private final Database database;
    private final String queue;
    private final EventHandler handler;

    EventConsumer(Database database, String queue, EventHandler handler) {
        this.database = database;
        this.queue = queue;
        this.handler = handler;
    }

    /** Consumes on this connection, and closes it when the broker stops to deliver, so that a new one is made. */
    @AtStart
    void attach(Connection connection) throws IOException {
        Channel channel = connection.createChannel();
        channel.basicQos(PREFETCH);
        channel.addShutdownListener(cause -> connection.abort());
        channel.basicConsume(queue, false, new DefaultConsumer(channel) {
            @Override
            public void handleDelivery(String tag, Envelope envelope, AMQP.BasicProperties properties, byte[] body)
                    throws IOException {
                deliver(getChannel(), envelope, properties, body);
            }

            @Override
            public void handleCancel(String tag) {
                connection.abort();  // somebody removed the queue
            }
        });
    }

    private void deliver(Channel channel, Envelope envelope, AMQP.BasicProperties properties, byte[] body)
            throws IOException {
        try {
            handleUntilDone(channel, parse(envelope, properties, body));
            channel.basicAck(envelope.getDeliveryTag(), false);
        } catch (IllegalArgumentException | SQLException e) {
            LOG.error("event {} goes to the dead ones", properties.getMessageId(), e);
            channel.basicReject(envelope.getDeliveryTag(), false);
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();  // stopping: what is not acknowledged comes again
        }
    }

    /** Waits for a database that is away: the next event would need it just as much. */
    private void handleUntilDone(Channel channel, Event event) throws SQLException, InterruptedException {
        Backoff backoff = Backoff.forConnections();
        while (channel.isOpen()) {
            try {
                database.write(connection -> {
                    handleOnce(connection, event);
                    return null;
                });
                return;
            } catch (SQLException e) {
                if (!Database.isUnavailable(e)) {
                    throw e;
                }
                backoff.pause();
            }
        }
        throw new InterruptedException("the channel is closed");
    }

    private void handleOnce(java.sql.Connection connection, Event event) throws SQLException {
        boolean isNew = Sql.update(connection,
                "INSERT INTO handled_event (event_id) VALUES (?) ON CONFLICT DO NOTHING", event.id()) == 1;
        if (isNew) {
            handler.handle(connection, event);
        }
    }

    static Event parse(Envelope envelope, AMQP.BasicProperties properties, byte[] body) {
        if (properties.getMessageId() == null) {
            throw new IllegalArgumentException("an event without an id");
        }
        try {
            JsonNode data = Json.parse(body);
            if (!data.isObject()) {
                throw new IllegalArgumentException("an event without data");
            }
            return new Event(UUID.fromString(properties.getMessageId()), envelope.getRoutingKey(), data);
        } catch (IOException e) {
            throw new IllegalArgumentException("an event that is not JSON", e);
        }
    }
}
