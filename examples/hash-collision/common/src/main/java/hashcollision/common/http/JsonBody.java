package hashcollision.common.http;

import com.fasterxml.jackson.databind.JsonNode;
import hashcollision.common.Json;
import io.javalin.http.Context;
import java.io.IOException;
import java.util.ArrayList;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Set;
import java.util.function.Function;
import java.util.regex.Pattern;

/** The JSON object of a request, whose fields are checked as they are read. */
public final class JsonBody {
    /** A larger request is refused, whether or not it says its size beforehand. */
    static final int MAX_BYTES = 64 * 1024;

    private final JsonNode object;

    private JsonBody(JsonNode object) {
        this.object = object;
    }

    public static JsonBody of(Context context) throws IOException {
        if (context.contentLength() > MAX_BYTES) {
            throw ApiException.tooLarge(MAX_BYTES);
        }
        byte[] bytes = context.bodyInputStream().readNBytes(MAX_BYTES + 1);
        if (bytes.length > MAX_BYTES) {
            throw ApiException.tooLarge(MAX_BYTES);
        }
        return parse(bytes);
    }

    public static JsonBody parse(byte[] bytes) {
        JsonNode node;
        try {
            node = Json.parse(bytes);
        } catch (IOException e) {
            throw ApiException.badRequest("malformed_json", "The body is not JSON.");
        }
        if (!node.isObject()) {
            throw ApiException.badRequest("malformed_json", "The body is not a JSON object.");
        }
        return new JsonBody(node);
    }

    /** A text without white space round it. {@code min} and {@code max} count characters as people do. */
    public String text(String field, int min, int max) {
        return checked(field, string(field).strip(), min, max);
    }

    /** A text taken as it is, such as a password, whose spaces count. */
    public String rawText(String field, int min, int max) {
        return checked(field, string(field), min, max);
    }

    /** One of two numbers: 1 or -1. */
    public int sign(String field) {
        JsonNode node = object.path(field);
        if (!node.isIntegralNumber() || !node.canConvertToInt() || Math.abs(node.intValue()) != 1) {
            throw invalid(field, "want 1 or -1");
        }
        return node.intValue();
    }

    /** Texts that match a pattern, each once, in their order; a missing field is an empty list. */
    public List<String> texts(String field, int maxItems, Pattern pattern) {
        JsonNode node = object.path(field);
        if (node.isMissingNode() || node.isNull()) {
            return List.of();
        }
        if (!node.isArray() || node.size() > maxItems) {
            throw invalid(field, "want a list of at most " + maxItems);
        }
        Set<String> items = new LinkedHashSet<>();
        for (JsonNode item : node) {
            if (!item.isTextual() || !pattern.matcher(item.textValue()).matches()) {
                throw invalid(field, "every item must match " + pattern);
            }
            items.add(item.textValue());
        }
        return List.copyOf(items);
    }

    public boolean has(String field) {
        return object.hasNonNull(field);
    }

    /** The number of something that is stored; whether it is there, the database knows. */
    public long id(String field) {
        JsonNode node = object.path(field);
        if (!node.isIntegralNumber() || !node.canConvertToLong() || node.longValue() < 0) {
            throw invalid(field, "want the number of one");
        }
        return node.longValue();
    }

    /** Objects, each read with its own fields; a missing field is an empty list. A refusal tells which one is wrong. */
    public <T> List<T> items(String field, int maxItems, Function<JsonBody, T> read) {
        JsonNode node = object.path(field);
        if (node.isMissingNode() || node.isNull()) {
            return List.of();
        }
        if (!node.isArray() || node.size() > maxItems) {
            throw invalid(field, "want a list of at most " + maxItems);
        }
        List<T> items = new ArrayList<>();
        for (JsonNode item : node) {
            String place = field + "[" + items.size() + "]";
            if (!item.isObject()) {
                throw ApiException.badRequest("invalid_" + field, place + ": want an object.");
            }
            try {
                items.add(read.apply(new JsonBody(item)));
            } catch (ApiException refused) {
                throw refused.at(place);
            }
        }
        return items;
    }

    private String string(String field) {
        JsonNode node = object.path(field);
        if (!node.isTextual()) {
            throw invalid(field, "want a text");
        }
        return node.textValue();
    }

    private static String checked(String field, String value, int min, int max) {
        int length = value.codePointCount(0, value.length());
        if (length < min || length > max) {
            throw invalid(field, "want " + min + " to " + max + " characters, got " + length);
        }
        if (value.codePoints().anyMatch(JsonBody::cannotBeStored)) {
            throw invalid(field, "contains a character that cannot be stored");
        }
        return value;
    }

    /** PostgreSQL stores neither NUL nor half a character. */
    private static boolean cannotBeStored(int codePoint) {
        return codePoint == 0 || (codePoint >= Character.MIN_SURROGATE && codePoint <= Character.MAX_SURROGATE);
    }

    /** The answer to a field with a wrong value. */
    public static ApiException invalid(String field, String problem) {
        return ApiException.badRequest("invalid_" + field, field + ": " + problem + ".");
    }
}
