package hashcollision.auth;

import hashcollision.common.http.ApiException;
import java.time.Duration;
import java.util.Locale;
import java.util.Optional;
import java.util.function.LongSupplier;

/**
 * How often a wrong password may be sent: for one account, from wherever, and from one address, for whatever accounts.
 *
 * <p>Names that nobody has count as accounts do, so that the answer does not tell which names exist.
 */
final class LogInLimits {
    static final int PER_ACCOUNT = 10;
    static final int PER_ADDRESS = 100;
    static final Duration WINDOW = Duration.ofMinutes(15);

    private final Attempts ofAccount;
    private final Attempts fromAddress;

    LogInLimits(LongSupplier nanoTime) {
        ofAccount = new Attempts(PER_ACCOUNT, WINDOW, nanoTime);
        fromAddress = new Attempts(PER_ADDRESS, WINDOW, nanoTime);
    }

    /** Call before the password is compared. Throws the answer 429 when that may not be done now. */
    void begin(String account, String address) {
        refuseFor(fromAddress.begin(address));
        Optional<Duration> wait = ofAccount.begin(key(account));
        if (wait.isPresent()) {
            fromAddress.takeBack(address);  // no password was compared
            refuseFor(wait);
        }
    }

    /** Call when the password was right. */
    void succeeded(String account, String address) {
        ofAccount.forget(key(account));
        fromAddress.takeBack(address);
    }

    private static String key(String account) {
        return account.toLowerCase(Locale.ROOT);
    }

    private static void refuseFor(Optional<Duration> wait) {
        wait.ifPresent(left -> {
            throw ApiException.tooManyRequests("Too many wrong passwords were sent.", left);
        });
    }
}
