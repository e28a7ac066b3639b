package hashcollision.common;

import static org.junit.jupiter.api.Assertions.assertEquals;

import java.time.Duration;
import org.junit.jupiter.api.Test;

class BackoffTest {
    private final Backoff backoff = new Backoff(Duration.ofMillis(50), Duration.ofMillis(150));

    @Test
    void pausesDoubleUpToTheLimit() {
        assertEquals(50, backoff.advance().toMillis());
        assertEquals(100, backoff.advance().toMillis());
        assertEquals(150, backoff.advance().toMillis());
        assertEquals(150, backoff.advance().toMillis());
    }

    @Test
    void aSuccessMakesTheNextPauseShortAgain() {
        backoff.advance();
        backoff.advance();
        backoff.reset();
        assertEquals(50, backoff.advance().toMillis());
    }
}
