package hashcollision.auth;

import hashcollision.common.http.JsonBody;
import java.nio.charset.StandardCharsets;
import org.springframework.security.crypto.bcrypt.BCrypt;

/** Keeps passwords as slow hashes. */
final class Passwords {
    /** bcrypt looks at no more than this, so a longer password would be weaker than it seems. */
    private static final int MAX_BYTES = 72;

    private final int cost;
    private final String nobody;

    /** Each step of {@code cost} doubles the work of a guess, and of every log-in. */
    Passwords(int cost) {
        this.cost = cost;
        this.nobody = hash("nobody has this password");
    }

    String hash(String password) {
        return BCrypt.hashpw(password, BCrypt.gensalt(cost));
    }

    /** A password that is too long matches nothing, although bcrypt would only look at its beginning. */
    boolean matches(String password, String hash) {
        boolean same = BCrypt.checkpw(password, hash);
        return same && !isTooLong(password);
    }

    /** Takes as long as {@link #matches}, so that the time of an answer doesn't tell which names exist. */
    void pretendToMatch(String password) {
        matches(password, nobody);
    }

    /** Reads the field {@code password} of someone who chooses a new one. */
    static String chosen(JsonBody body) {
        String password = body.rawText("password", 8, 200);
        if (isTooLong(password)) {
            throw JsonBody.invalid("password", "want at most " + MAX_BYTES + " bytes in UTF-8");
        }
        return password;
    }

    static boolean isTooLong(String password) {
        return password.getBytes(StandardCharsets.UTF_8).length > MAX_BYTES;
    }
}
