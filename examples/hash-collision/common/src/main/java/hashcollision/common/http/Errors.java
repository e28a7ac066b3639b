package hashcollision.common.http;

import hashcollision.common.database.Database;
import io.javalin.http.HttpResponseException;
import java.sql.SQLException;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/** Turns whatever a handler threw into the answer a client gets. */
final class Errors {
    private static final Logger LOG = LoggerFactory.getLogger(Errors.class);

    /** The body of every error. */
    record Body(Detail error) {}

    record Detail(String code, String message) {}

    private Errors() {}

    static Body body(ApiException error) {
        return new Body(new Detail(error.code(), error.getMessage()));
    }

    static ApiException toApi(Throwable thrown) {
        if (thrown instanceof ApiException api) {
            return api;
        }
        if (thrown instanceof HttpResponseException routing) {
            return ofRouting(routing);
        }
        if (thrown instanceof SQLException sql && Database.isUnavailable(sql)) {
            LOG.warn("database is not available: {}", sql.getMessage());
            return ApiException.unavailable();
        }
        LOG.error("request failed", thrown);
        return new ApiException(500, "internal", "Something went wrong on the server.");
    }

    private static ApiException ofRouting(HttpResponseException routing) {
        return switch (routing.getStatus()) {
            case 404 -> ApiException.notFound("There is nothing at this address.");
            case 405 -> new ApiException(405, "method_not_allowed", "This address does not take this method.");
            case 413 -> ApiException.tooLarge(JsonBody.MAX_BYTES);
            default -> new ApiException(routing.getStatus(), "rejected", routing.getMessage());
        };
    }
}
