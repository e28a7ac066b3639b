package hashcollision.common.http;

import java.time.Duration;
import java.util.OptionalLong;

/** An answer that is not the wished one: a status, a code for programs and a message for people. */
public final class ApiException extends RuntimeException {
    private final int status;
    private final String code;
    private final OptionalLong retryAfter;

    public ApiException(int status, String code, String message) {
        this(status, code, message, OptionalLong.empty());
    }

    private ApiException(int status, String code, String message, OptionalLong retryAfter) {
        super(message, null, false, false);  // expected, so nobody reads its stack trace
        this.status = status;
        this.code = code;
        this.retryAfter = retryAfter;
    }

    public static ApiException badRequest(String code, String message) {
        return new ApiException(400, code, message);
    }

    public static ApiException unauthorized(String message) {
        return new ApiException(401, "unauthorized", message);
    }

    public static ApiException forbidden(String message) {
        return new ApiException(403, "forbidden", message);
    }

    public static ApiException notFound(String message) {
        return new ApiException(404, "not_found", message);
    }

    public static ApiException conflict(String code, String message) {
        return new ApiException(409, code, message);
    }

    public static ApiException tooLarge(int limit) {
        return new ApiException(413, "too_large", "The request is larger than " + limit / 1024 + " KiB.");
    }

    /** {@code message} is a sentence; how long to wait is added to it, and stands in the header {@code Retry-After}. */
    public static ApiException tooManyRequests(String message, Duration wait) {
        long seconds = Math.max(1, wait.plusNanos(999_999_999).toSeconds());
        long minutes = (seconds + 59) / 60;
        String when = seconds < 60 ? seconds + " s." : minutes == 1 ? "a minute." : minutes + " minutes.";
        return new ApiException(429, "too_many_requests", message + " Try again in " + when, OptionalLong.of(seconds));
    }

    public static ApiException unavailable() {
        return new ApiException(503, "unavailable", "The service is not ready. Try again in a moment.");
    }

    /** The same refusal, of one of several parts of a request. */
    public ApiException at(String part) {
        return new ApiException(status, code, part + ": " + getMessage(), retryAfter);
    }

    public int status() {
        return status;
    }

    /** Seconds until another try makes sense; empty where time changes nothing. */
    public OptionalLong retryAfter() {
        return retryAfter;
    }

    public String code() {
        return code;
    }
}
