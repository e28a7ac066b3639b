package hashcollision.common.http;

import io.javalin.http.Context;

/** Values that stand in a request's address. */
public final class Requests {
    private Requests() {}

    /**
     * The address that the request came from. The web server in front writes it into this header, over whatever a client
     * sent; nothing but containers of the lab reaches a service past it.
     */
    public static String address(Context context) {
        String forwarded = context.header("X-Forwarded-For");
        return forwarded == null ? context.ip() : forwarded;
    }

    /** The number in the path. What is no number names nothing, so it is not found. */
    public static long id(Context context) {
        return id(context.pathParam("id"));
    }

    static long id(String text) {
        // 18 digits always fit a long; "+1" and other digits of Unicode are no ids
        if (!text.matches("[0-9]{1,18}")) {
            throw ApiException.notFound("There is no such id: " + text);
        }
        return Long.parseLong(text);
    }

    /** The page asked for, from 1; 1 when none is. */
    public static int page(Context context) {
        return page(context.queryParam("page"));
    }

    static int page(String text) {
        if (text == null || text.isEmpty()) {
            return 1;
        }
        if (!text.matches("[1-9][0-9]{0,6}")) {
            throw JsonBody.invalid("page", "want a number from 1 to 9999999");
        }
        return Integer.parseInt(text);
    }

    /** A search word, or null when it is missing or blank. */
    public static String word(Context context, String name, int max) {
        String value = context.queryParam(name);
        if (value == null || value.isBlank()) {
            return null;
        }
        if (value.length() > max || value.indexOf('\0') >= 0) {
            throw JsonBody.invalid(name, "want at most " + max + " characters");
        }
        return value.strip();
    }
}
