package hashcollision.common.token;

import com.auth0.jwt.JWT;
import com.auth0.jwt.JWTVerifier;
import com.auth0.jwt.algorithms.Algorithm;
import com.auth0.jwt.exceptions.JWTVerificationException;
import com.auth0.jwt.interfaces.DecodedJWT;
import hashcollision.common.http.ApiException;
import io.javalin.http.Context;
import java.time.Clock;
import java.time.Duration;
import java.time.Instant;

/** Signs and checks the tokens that prove who a caller is. Services share the key, so none asks another. */
public final class Tokens {
    private static final String ISSUER = "hash-collision";
    private static final Duration LIFETIME = Duration.ofHours(12);
    private static final String SCHEME = "Bearer ";

    private final Algorithm algorithm;
    private final JWTVerifier verifier;
    private final Clock clock;

    public Tokens(String key) {
        this(key, Clock.systemUTC());
    }

    Tokens(String key, Clock clock) {
        this.algorithm = Algorithm.HMAC256(key);
        this.clock = clock;
        this.verifier = ((JWTVerifier.BaseVerification) JWT.require(algorithm)
                .withIssuer(ISSUER)
                .withClaimPresence("exp")
                .withClaimPresence("name")).build(clock);
    }

    public String issue(Caller caller) {
        Instant now = clock.instant();
        return JWT.create()
                .withIssuer(ISSUER)
                .withSubject(Long.toString(caller.id()))
                .withClaim("name", caller.name())
                .withIssuedAt(now)
                .withExpiresAt(now.plus(LIFETIME))
                .sign(algorithm);
    }

    /** The caller of a request, which must carry a valid token. */
    public Caller caller(Context context) {
        return caller(context.header("Authorization"));
    }

    Caller caller(String authorization) {
        if (authorization == null || !authorization.regionMatches(true, 0, SCHEME, 0, SCHEME.length())) {
            throw ApiException.unauthorized("Sign in first: this needs the header Authorization: Bearer TOKEN.");
        }
        try {
            DecodedJWT token = verifier.verify(authorization.substring(SCHEME.length()).strip());
            return new Caller(Long.parseLong(token.getSubject()), token.getClaim("name").asString());
        } catch (JWTVerificationException | NumberFormatException e) {
            throw ApiException.unauthorized("The token is not valid, or no longer. Sign in again.");
        }
    }
}
