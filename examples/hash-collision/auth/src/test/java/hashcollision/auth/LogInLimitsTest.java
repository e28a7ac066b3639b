package hashcollision.auth;

import static org.junit.jupiter.api.Assertions.assertDoesNotThrow;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import hashcollision.common.http.ApiException;
import java.time.Duration;
import java.util.concurrent.atomic.AtomicLong;
import org.junit.jupiter.api.Test;

class LogInLimitsTest {
    private final AtomicLong clock = new AtomicLong(Long.MAX_VALUE - 5);  // nanoTime may pass over from there
    private final LogInLimits limits = new LogInLimits(clock::get);

    private void fail(int times, String account, String address) {
        for (int i = 0; i < times; i++) {
            limits.begin(account, address);
        }
    }

    private void later(Duration time) {
        clock.addAndGet(time.toNanos());
    }

    @Test
    void anAccountIsClosedAfterTenWrongPasswordsAndOpensByItself() {
        fail(LogInLimits.PER_ACCOUNT, "ada", "10.0.0.1");
        later(Duration.ofMinutes(5));
        ApiException refused = assertThrows(ApiException.class, () -> limits.begin("Ada", "10.0.0.2"));
        assertEquals(429, refused.status());
        assertEquals(600, refused.retryAfter().orElseThrow());
        later(Duration.ofMinutes(10));
        assertDoesNotThrow(() -> limits.begin("ada", "10.0.0.1"));
    }

    @Test
    void otherAccountsAreNotConcerned() {
        fail(LogInLimits.PER_ACCOUNT, "ada", "10.0.0.1");
        assertDoesNotThrow(() -> limits.begin("grace", "10.0.0.1"));
    }

    @Test
    void anAddressIsClosedWhateverAccountsItTries() {
        for (int i = 0; i < LogInLimits.PER_ADDRESS; i++) {
            limits.begin("name" + i, "10.0.0.1");
        }
        assertThrows(ApiException.class, () -> limits.begin("another", "10.0.0.1"));
        assertDoesNotThrow(() -> limits.begin("another", "10.0.0.2"));
    }

    @Test
    void whatAnAccountRefusesDoesNotCountForTheAddress() {
        fail(LogInLimits.PER_ACCOUNT, "ada", "10.0.0.1");
        for (int i = 0; i < 2 * LogInLimits.PER_ADDRESS; i++) {
            assertThrows(ApiException.class, () -> limits.begin("ada", "10.0.0.1"));
        }
        assertDoesNotThrow(() -> limits.begin("grace", "10.0.0.1"));
    }

    @Test
    void whoLogsInOftenIsNeverRefusedAndARightPasswordEndsTheCount() {
        fail(LogInLimits.PER_ACCOUNT - 1, "ada", "10.0.0.1");
        for (int i = 0; i < 2 * LogInLimits.PER_ADDRESS; i++) {
            limits.begin("ada", "10.0.0.1");
            limits.succeeded("ADA", "10.0.0.1");
        }
        fail(LogInLimits.PER_ACCOUNT, "ada", "10.0.0.1");
        assertThrows(ApiException.class, () -> limits.begin("ada", "10.0.0.1"));
    }

    @Test
    void theMemoryOfFailuresIsLimitedAndForgetsTheOldestFirst() {
        Attempts attempts = new Attempts(1, Duration.ofMinutes(1), clock::get);
        for (int i = 0; i <= Attempts.MAX_KEYS; i++) {
            attempts.begin("key" + i);
        }
        assertTrue(attempts.begin("key" + Attempts.MAX_KEYS).isPresent());
        assertTrue(attempts.begin("key0").isEmpty());
        assertTrue(attempts.begin("key1").isEmpty(), "which made room for key0");
        assertTrue(attempts.begin("key3").isPresent());
    }
}
