package hashcollision.common.token;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;

import com.auth0.jwt.JWT;
import com.auth0.jwt.algorithms.Algorithm;
import hashcollision.common.http.ApiException;
import java.time.Clock;
import java.time.Duration;
import java.time.Instant;
import java.time.ZoneOffset;
import org.junit.jupiter.api.Test;

class TokensTest {
    private static final String KEY = "a key of thirty-two characters..";
    private static final Instant NOW = Instant.parse("2024-05-01T12:00:00Z");
    private static final Caller ADA = new Caller(7, "Ada");

    private final Tokens tokens = at(Duration.ZERO);

    @Test
    void aTokenNamesItsCaller() {
        assertEquals(ADA, tokens.caller("Bearer " + tokens.issue(ADA)));
        assertEquals(ADA, tokens.caller("bearer " + tokens.issue(ADA)));
    }

    @Test
    void aTokenExpires() {
        String header = "Bearer " + tokens.issue(ADA);
        assertEquals(ADA, at(Duration.ofHours(11)).caller(header));
        assertUnauthorized(at(Duration.ofHours(13)), header);
    }

    @Test
    void aTokenOfAnotherKeyIsRefused() {
        assertUnauthorized(tokens, "Bearer " + new Tokens("another key").issue(ADA));
    }

    @Test
    void aTokenWithoutASignatureIsRefused() {
        String unsigned = JWT.create().withIssuer("hash-collision").withSubject("7").withClaim("name", "Ada")
                .withExpiresAt(NOW.plusSeconds(60)).sign(Algorithm.none());
        assertUnauthorized(tokens, "Bearer " + unsigned);
    }

    @Test
    void aHeaderThatIsMissingOrOfAnotherKindIsRefused() {
        assertUnauthorized(tokens, null);
        assertUnauthorized(tokens, "");
        assertUnauthorized(tokens, "Basic YTpi");
        assertUnauthorized(tokens, "Bearer ");
        assertUnauthorized(tokens, tokens.issue(ADA));
    }

    private static Tokens at(Duration later) {
        return new Tokens(KEY, Clock.fixed(NOW.plus(later), ZoneOffset.UTC));
    }

    private static void assertUnauthorized(Tokens tokens, String header) {
        assertEquals(401, assertThrows(ApiException.class, () -> tokens.caller(header)).status());
    }
}
