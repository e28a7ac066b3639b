package hashcollision.auth;

import hashcollision.common.AtStart;
import hashcollision.common.http.ApiException;
import hashcollision.common.http.Http;
import hashcollision.common.http.JsonBody;
import hashcollision.common.http.Requests;
import hashcollision.common.token.Caller;
import hashcollision.common.token.Tokens;
import io.javalin.config.RoutesConfig;
import io.javalin.http.Context;
import java.io.IOException;
import java.sql.SQLException;
import java.util.Optional;

/** Registrations and sessions over HTTP. */
final class AuthRoutes {
    /** Who has just chosen a password need not send it again: the token spares a second slow hash. */
    record Registered(long userId, String token) {}

    record Session(String token) {}

    private final Accounts accounts;
    private final Passwords passwords;
    private final Tokens tokens;
    private final LogInLimits limits;

    AuthRoutes(Accounts accounts, Passwords passwords, Tokens tokens, LogInLimits limits) {
        this.accounts = accounts;
        this.passwords = passwords;
        this.tokens = tokens;
        this.limits = limits;
    }

    @AtStart
    void register(RoutesConfig routes) {
        routes.post("/api/auth/registrations", this::createRegistration);
        routes.post("/api/auth/sessions", this::createSession);
    }

    private void createRegistration(Context context) throws IOException, SQLException {
        JsonBody body = JsonBody.of(context);
        String name = body.text("name", 3, 40);
        String password = Passwords.chosen(body);
        // Looked up first because the hash is slow; the insert decides all the same.
        Optional<Long> id = accounts.find(name).isPresent()
                ? Optional.empty()
                : accounts.register(name, passwords.hash(password));
        long userId = id.orElseThrow(() -> ApiException.conflict("name_taken", "This name is taken."));
        Http.json(context, 201, new Registered(userId, tokens.issue(new Caller(userId, name))));
    }

    private void createSession(Context context) throws IOException, SQLException {
        JsonBody body = JsonBody.of(context);
        String name = body.text("name", 1, 200);
        String password = body.rawText("password", 1, 200);
        Http.json(context, 201, new Session(tokens.issue(authenticate(name, password, Requests.address(context)))));
    }

    private Caller authenticate(String name, String password, String address) throws SQLException {
        Optional<Accounts.Account> account = accounts.find(name);
        String counted = account.map(Accounts.Account::name).orElse(name);
        limits.begin(counted, address);
        if (account.isEmpty()) {
            passwords.pretendToMatch(password);
        } else if (passwords.matches(password, account.get().passwordHash())) {
            limits.succeeded(counted, address);
            return new Caller(account.get().id(), account.get().name());
        }
        throw ApiException.unauthorized("The name or the password is wrong.");
    }
}
