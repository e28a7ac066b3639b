package hashcollision.common;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Map;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class SettingsTest {
    @TempDir
    private Path secrets;

    @Test
    void aServiceIsReachedByItsNameUnlessToldOtherwise() {
        Settings settings = new Settings(Map.of("POSTGRES_HOST", "localhost"), secrets);
        assertEquals("localhost", settings.host("postgres"));
        assertEquals("rabbitmq", settings.host("rabbitmq"));
    }

    @Test
    void aSecretIsReadWithoutTheNewlineAtItsEnd() throws IOException {
        Files.writeString(secrets.resolve("token_key"), "abc\n");
        assertEquals("abc", new Settings(Map.of(), secrets).secret("token_key"));
    }

    @Test
    void aMissingOrEmptySecretIsNamed() throws IOException {
        Settings settings = new Settings(Map.of(), secrets);
        Files.writeString(secrets.resolve("empty"), "\n");
        assertEquals("cannot read secret missing",
                assertThrows(UncheckedIOException.class, () -> settings.secret("missing")).getMessage());
        assertEquals("secret empty is empty",
                assertThrows(IllegalStateException.class, () -> settings.secret("empty")).getMessage());
    }
}
