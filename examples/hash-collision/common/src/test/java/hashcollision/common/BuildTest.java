package hashcollision.common;

import static org.junit.jupiter.api.Assertions.assertEquals;

import org.junit.jupiter.api.Test;

class BuildTest {
    @Test
    void isFirstWhatTheContainerWasStartedWith() {
        assertEquals(System.getenv().getOrDefault("HASHLAB_BUILD", "unknown"), Build.id());
    }
}
