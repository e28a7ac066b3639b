package hashcollision.common.database;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNotEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;

import java.io.IOException;
import java.net.URL;
import java.net.URLClassLoader;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class MigrationsTest {
    @TempDir
    private Path folder;

    @Test
    void theFingerprintChangesWithNamesAndContents() throws IOException {
        Path first = Files.writeString(Files.createDirectories(folder.resolve("db/one")).resolve("V1__a.sql"), "SELECT 1");
        String before = fingerprint();
        assertEquals(before, fingerprint());
        Files.writeString(first, "SELECT 2");
        String edited = fingerprint();
        Path renamed = Files.move(first, first.resolveSibling("V2__a.sql"));
        String moved = fingerprint();
        Files.copy(renamed, first);
        assertNotEquals(before, edited);
        assertNotEquals(edited, moved);
        assertNotEquals(moved, fingerprint());
    }

    @Test
    void migrationsThatAreNotThereAreAnError() {
        assertThrows(IllegalStateException.class, this::fingerprint);
    }

    private String fingerprint() throws IOException {
        try (URLClassLoader loader = new URLClassLoader(new URL[] {folder.toUri().toURL()}, null)) {
            return Migrations.fingerprint(loader, List.of("db/one"));
        }
    }
}
