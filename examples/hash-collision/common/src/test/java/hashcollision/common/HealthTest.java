package hashcollision.common;

import static org.junit.jupiter.api.Assertions.assertEquals;

import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;

class HealthTest {
    private final Health health = new Health();

    @BeforeEach
    void expectBoth() {
        health.expect("database");
        health.expect("broker");
    }

    @Test
    void isStartingUntilEverythingIsThere() {
        health.set("database", true);
        assertEquals(Health.Status.STARTING, health.status());
        health.set("broker", true);
        assertEquals(Health.Status.OK, health.status());
    }

    @Test
    void isDegradedWhenSomethingGoesLater() {
        health.set("database", true);
        health.set("broker", true);
        health.set("broker", false);
        assertEquals(Health.Status.DEGRADED, health.status());
    }
}
