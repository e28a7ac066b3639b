package hashcollision.auth;

import hashcollision.common.AtStart;
import hashcollision.common.Service;
import hashcollision.common.Settings;
import hashcollision.common.token.Tokens;

/** Who people are: registers them, and hands out the tokens that the other services trust. */
@AtStart
public final class AuthService {
    private AuthService() {}

    public static void main(String[] args) {
        Service service = new Service("auth", Settings.fromContainer());
        Accounts accounts = new Accounts(service.database(), service.broker().outbox());
        Tokens tokens = new Tokens(service.settings().secret("token_key"));
        Passwords passwords = new Passwords(service.settings().number("PASSWORD_COST", 10));
        LogInLimits limits = new LogInLimits(System::nanoTime);
        service.start(new AuthRoutes(accounts, passwords, tokens, limits)::register);
    }
}
