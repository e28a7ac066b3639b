package hashcollision.common;

import hashcollision.common.database.Database;
import hashcollision.common.http.Http;
import hashcollision.common.messaging.Broker;
import io.javalin.Javalin;
import io.javalin.config.RoutesConfig;
import java.util.function.Consumer;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/** What the three services have in common: a database, the broker, a web server, and an orderly end. */
public final class Service {
    private static final Logger LOG = LoggerFactory.getLogger(Service.class);

    private final String name;
    private final Settings settings;
    private final Health health = new Health();
    private final Database database;
    private final Broker broker;

    public Service(String name, Settings settings) {
        this.name = name;
        this.settings = settings;
        this.database = new Database(settings.host("postgres"), name, settings.secret(name + "_db_password"), health);
        this.broker = new Broker(settings.host("rabbitmq"), name, settings.secret(name + "_broker_password"), database,
                health);
    }

    public Settings settings() {
        return settings;
    }

    public Database database() {
        return database;
    }

    public Broker broker() {
        return broker;
    }

    /** Starts everything and returns. The web server answers at once, the health path with 200 when all is there. */
    @AtStart
    public void start(Consumer<RoutesConfig> routes) {
        database.start();
        broker.start();
        Javalin http = Http.start(name, health, routes);
        Runtime.getRuntime().addShutdownHook(new Thread(() -> stop(http), "stop"));
        LOG.info("{} {} started", name, Build.id());
    }

    /** In this order: nothing new comes in, what is under way ends, then what it needed goes. */
    private void stop(Javalin http) {
        try {
            http.stop();
            broker.close();
            database.close();
            LOG.info("{} stopped", name);
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
        } catch (RuntimeException e) {
            LOG.warn("not an orderly stop", e);
        }
    }
}
