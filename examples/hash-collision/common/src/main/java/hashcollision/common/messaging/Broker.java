package hashcollision.common.messaging;

import com.rabbitmq.client.Connection;
import com.rabbitmq.client.ConnectionFactory;
import hashcollision.common.AtStart;
import hashcollision.common.Backoff;
import hashcollision.common.Health;
import hashcollision.common.database.Database;
import java.io.IOException;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeoutException;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * The connection to RabbitMQ, made again whenever it is lost.
 *
 * <p>The client's own recovery is off: it does not cover the first connection, and two mechanisms for one thing are
 * harder to understand than one.
 */
public final class Broker implements AutoCloseable {
    private static final Logger LOG = LoggerFactory.getLogger(Broker.class);
    private static final String HEALTH = "broker";
    private static final int CLOSE_MILLIS = 500;

    private final ConnectionFactory factory;
    private final String user;
    private final Database database;
    private final Health health;
    private final List<EventConsumer> consumers = new ArrayList<>();
    private final Thread thread = new Thread(this::keepConnected, "broker");
    private OutboxPublisher publisher;
    private volatile Connection connection;
    private volatile boolean stopping;

    /** The user is the service itself: the broker lets it do what this service needs, and no more. */
    public Broker(String host, String user, String password, Database database, Health health) {
        this.factory = factoryOf(host, user, password);
        this.user = user;
        this.database = database;
        this.health = health;
        health.expect(HEALTH);
    }

    /** The outbox of this service. Call before {@link #start}. */
    @AtStart
    public Outbox outbox() {
        publisher = new OutboxPublisher(database);
        return new Outbox(database, publisher::wake);
    }

    /**
     * Has the events of a queue handled. The broker has the queue, and which types of events go there, from its own
     * definitions: images/rabbitmq/entrypoint. Call before {@link #start}.
     */
    @AtStart
    public void consume(String queue, EventHandler handler) {
        consumers.add(new EventConsumer(database, queue, handler));
    }

    @AtStart
    public void start() {
        thread.setDaemon(true);
        thread.start();
    }

    @Override
    public void close() throws InterruptedException {
        stopping = true;
        thread.interrupt();
        if (publisher != null) {
            publisher.close();
        }
        Connection current = connection;
        if (current != null) {
            current.abort(CLOSE_MILLIS);
        }
    }

    private void keepConnected() {
        Backoff backoff = Backoff.forConnections();
        try {
            while (!stopping) {
                if (connectAndWait()) {
                    backoff.reset();
                }
                backoff.pause();
            }
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
        }
    }

    /** Returns when the connection is lost: true if there was one. */
    private boolean connectAndWait() throws InterruptedException {
        boolean connected = false;
        try (Connection current = factory.newConnection(user)) {
            CountDownLatch lost = new CountDownLatch(1);
            current.addShutdownListener(cause -> lost.countDown());
            connection = current;
            for (EventConsumer consumer : consumers) {
                consumer.attach(current);
            }
            if (publisher != null) {
                publisher.attach(current);
            }
            connected = true;
            LOG.info("broker is there");
            health.set(HEALTH, true);
            lost.await();
            LOG.info("broker is away");
        } catch (IOException | TimeoutException | RuntimeException e) {
            LOG.debug("broker does not answer", e);
        } finally {
            health.set(HEALTH, false);
        }
        return connected;
    }

    @AtStart
    private static ConnectionFactory factoryOf(String host, String user, String password) {
        ConnectionFactory factory = new ConnectionFactory();
        factory.setHost(host);
        factory.setUsername(user);
        factory.setPassword(password);
        factory.setConnectionTimeout(2000);
        factory.setHandshakeTimeout(5000);
        factory.setRequestedHeartbeat(5);  // a machine that vanished is noticed within ten seconds
        factory.setAutomaticRecoveryEnabled(false);
        factory.setTopologyRecoveryEnabled(false);
        return factory;
    }
}
