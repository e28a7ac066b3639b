package hashcollision.common.messaging;

import com.rabbitmq.client.AMQP;
import com.rabbitmq.client.Channel;
import com.rabbitmq.client.Connection;
import hashcollision.common.database.Database;
import hashcollision.common.database.Sql;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.sql.SQLException;
import java.util.List;
import java.util.Set;
import java.util.UUID;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.Semaphore;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * Sends the events of an outbox, oldest first, and removes those that the broker has confirmed.
 *
 * <p>An event that no queue wanted stays too: its queue is still to come.
 * A crash between the confirmation and the removal sends an event twice; consumers expect that.
 */
final class OutboxPublisher implements AutoCloseable {
    private static final Logger LOG = LoggerFactory.getLogger(OutboxPublisher.class);
    /** The broker has it from its own definitions, with what each service may publish: images/rabbitmq/entrypoint. */
    private static final String EXCHANGE = "hash-collision.events";
    private static final int BATCH = 100;
    private static final long IDLE_MILLIS = 1000;
    private static final long CONFIRM_MILLIS = 5000;

    private record Waiting(long id, UUID eventId, String type, String data) {}

    private final Database database;
    private final Semaphore wakeUps = new Semaphore(0);
    private final Set<String> returned = ConcurrentHashMap.newKeySet();
    private final Thread thread = new Thread(this::run, "outbox");
    private volatile Connection connection;
    private Channel channel;

    OutboxPublisher(Database database) {
        this.database = database;
        thread.setDaemon(true);
        thread.start();
    }

    void wake() {
        wakeUps.release();
    }

    /** Uses a new connection from now on. */
    void attach(Connection next) {
        connection = next;
        wake();
    }

    @Override
    public void close() throws InterruptedException {
        thread.interrupt();
        thread.join(500);
    }

    private void run() {
        try {
            while (!Thread.currentThread().isInterrupted()) {
                // Many commits may have happened since: one look at the table serves them all.
                wakeUps.tryAcquire(IDLE_MILLIS, TimeUnit.MILLISECONDS);
                wakeUps.drainPermits();
                sendAll();
            }
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
        }
    }

    private void sendAll() throws InterruptedException {
        try {
            while (hasChannel() && sendBatch() == BATCH) {
                LOG.debug("a full batch was sent, and there may be more");
            }
        } catch (SQLException e) {
            LOG.debug("events wait for the database", e);
        } catch (IOException | TimeoutException | RuntimeException e) {
            LOG.warn("events wait for the broker: {}", e.toString());
            dropChannel();
        }
    }

    private boolean hasChannel() throws IOException {
        if (channel != null && channel.isOpen()) {
            return true;
        }
        Connection current = connection;
        if (current == null || !current.isOpen()) {
            return false;
        }
        channel = current.createChannel();
        channel.addReturnListener(message -> returned.add(message.getProperties().getMessageId()));
        channel.confirmSelect();
        return true;
    }

    private void dropChannel() {
        Channel dropped = channel;
        channel = null;
        try {
            if (dropped != null) {
                dropped.abort();
            }
        } catch (IOException e) {
            LOG.debug("the channel was gone already", e);
        }
    }

    /** Returns how many events were removed from the outbox. */
    private int sendBatch() throws SQLException, IOException, TimeoutException, InterruptedException {
        List<Waiting> batch = database.read(c -> Sql.list(c,
                "SELECT id, event_id, type, data FROM outbox ORDER BY id LIMIT " + BATCH,
                row -> new Waiting(row.getLong(1), row.getObject(2, UUID.class), row.getString(3), row.getString(4))));
        if (batch.isEmpty()) {
            return 0;
        }
        returned.clear();
        publish(batch);
        Long[] sent = batch.stream()
                .filter(event -> !returned.contains(event.eventId().toString()))
                .map(Waiting::id)
                .toArray(Long[]::new);
        return database.read(c -> Sql.update(c, "DELETE FROM outbox WHERE id = ANY (?)", (Object) sent));
    }

    private void publish(List<Waiting> batch) throws IOException, TimeoutException, InterruptedException {
        for (Waiting event : batch) {
            AMQP.BasicProperties properties = new AMQP.BasicProperties.Builder()
                    .messageId(event.eventId().toString())
                    .type(event.type())
                    .contentType("application/json")
                    .deliveryMode(2)  // persistent
                    .build();
            boolean mandatory = true;  // hand it back rather than drop it when no queue wants it
            channel.basicPublish(EXCHANGE, event.type(), mandatory, properties,
                    event.data().getBytes(StandardCharsets.UTF_8));
        }
        if (!channel.waitForConfirms(CONFIRM_MILLIS)) {
            throw new IOException("the broker did not take an event");
        }
    }
}
