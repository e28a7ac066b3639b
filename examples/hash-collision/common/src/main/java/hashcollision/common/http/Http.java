package hashcollision.common.http;

import hashcollision.common.AtStart;
import hashcollision.common.Build;
import hashcollision.common.Health;
import hashcollision.common.Json;
import io.javalin.Javalin;
import io.javalin.compression.CompressionStrategy;
import io.javalin.config.JavalinConfig;
import io.javalin.config.RoutesConfig;
import io.javalin.http.Context;
import io.javalin.http.ExceptionHandler;
import io.javalin.http.HttpResponseException;
import io.javalin.http.HttpStatus;
import java.util.function.Consumer;
import org.eclipse.jetty.util.thread.QueuedThreadPool;

/** The web server of a service: its routes below {@code /api/SERVICE/}, its health path, and one form for all errors. */
public final class Http {
    private static final int PORT = Integer.parseInt(System.getenv().getOrDefault("PORT", "8080"));

    private Http() {}

    /** Starts to serve at once, before anything that the service depends on is there. */
    @AtStart
    public static Javalin start(String service, Health health, Consumer<RoutesConfig> routes) {
        return Javalin.create(config -> {
            configure(config);
            config.routes.get("/api/" + service + "/health", context -> report(context, service, health));
            ExceptionHandler<Exception> failed = (thrown, context) -> fail(context, Errors.toApi(thrown));
            config.routes.exception(Exception.class, failed);
            config.routes.exception(HttpResponseException.class, failed);  // replaces Javalin's own texts
            routes.accept(config.routes);
        }).start(PORT);
    }

    /** Answers with a value as JSON. */
    public static void json(Context context, int status, Object value) {
        context.status(status).contentType("application/json").result(Json.bytes(value));
    }

    @AtStart
    private static void configure(JavalinConfig config) {
        config.startup.showJavalinBanner = false;
        config.startup.showOldJavalinVersionWarning = false;
        config.startup.startupWatcherEnabled = false;
        config.http.prefer405over404 = true;
        config.http.compressionStrategy = CompressionStrategy.NONE;  // the web server in front does it
        config.jetty.threadPool = new QueuedThreadPool(16, 4);
        config.jetty.modifyHttpConfiguration(http -> http.setSendServerVersion(false));
    }

    private static void report(Context context, String service, Health health) {
        Health.Status status = health.status();
        HttpStatus code = status == Health.Status.OK ? HttpStatus.OK : HttpStatus.SERVICE_UNAVAILABLE;
        json(context, code.getCode(), new Health.Report(status.name().toLowerCase(), service, Build.id()));
    }

    private static void fail(Context context, ApiException error) {
        if (error.status() == 401) {
            context.header("WWW-Authenticate", "Bearer");
        }
        error.retryAfter().ifPresent(seconds -> context.header("Retry-After", Long.toString(seconds)));
        json(context, error.status(), Errors.body(error));
    }
}
