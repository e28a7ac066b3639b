package hashcollision.common.http;

/** An answer that is not the wished one: a status, a code for programs and a message for people. */
public final class ApiException extends RuntimeException {
    private final int status;
    private final String code;

    public ApiException(int status, String code, String message) {
        super(message, null, false, false);  // expected, so nobody reads its stack trace
        this.status = status;
        this.code = code;
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

    public static ApiException unavailable() {
        return new ApiException(503, "unavailable", "The service is not ready. Try again in a moment.");
    }

    /** The same refusal, of one of several parts of a request. */
    public ApiException at(String part) {
        return new ApiException(status, code, part + ": " + getMessage());
    }

    public int status() {
        return status;
    }

    public String code() {
        return code;
    }
}
