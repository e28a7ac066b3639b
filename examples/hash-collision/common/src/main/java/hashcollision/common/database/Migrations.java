package hashcollision.common.database;

import hashcollision.common.AtStart;
import java.io.IOException;
import java.net.URISyntaxException;
import java.net.URL;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.sql.Connection;
import java.sql.SQLException;
import java.util.HexFormat;
import java.util.List;
import java.util.Optional;
import java.util.stream.Stream;
import javax.sql.DataSource;
import org.flywaydb.core.Flyway;

/**
 * Brings a schema up to date: what all services have in common, then the service's own.
 *
 * <p>Flyway takes a fifth of a service's start, nearly always to find that there is nothing to do. So the table of its
 * history says in its comment which migrations the schema is known to have, and Flyway is only asked about others.
 */
@AtStart
final class Migrations {
    private static final List<String> FOLDERS = List.of("db/common", "db/service");

    private Migrations() {}

    static void run(DataSource source) throws SQLException {
        String wanted = fingerprint(Migrations.class.getClassLoader(), FOLDERS);
        try (Connection connection = source.getConnection()) {
            if (known(connection).filter(wanted::equals).isPresent()) {
                return;
            }
        }
        Flyway.configure()
                .dataSource(source)
                .locations(FOLDERS.stream().map(folder -> "classpath:" + folder).toArray(String[]::new))
                .loggers("slf4j")
                .load()
                .migrate();
        try (Connection connection = source.getConnection()) {
            Sql.update(connection, "COMMENT ON TABLE flyway_schema_history IS '" + wanted + "'");
        }
    }

    private static Optional<String> known(Connection connection) throws SQLException {
        return Sql.first(connection, "SELECT coalesce(obj_description(to_regclass('flyway_schema_history')), '')",
                row -> row.getString(1));
    }

    /** Names and contents of all files in folders of the class path, as 64 hex digits. */
    static String fingerprint(ClassLoader loader, List<String> folders) {
        try {
            MessageDigest digest = MessageDigest.getInstance("SHA-256");
            for (String folder : folders) {
                for (Path file : files(loader.getResource(folder))) {
                    byte[] content = Files.readAllBytes(file);
                    String head = folder + "/" + file.getFileName() + " " + content.length + "\n";
                    digest.update(head.getBytes(StandardCharsets.UTF_8));
                    digest.update(content);
                }
            }
            return HexFormat.of().formatHex(digest.digest());
        } catch (IOException | URISyntaxException | NoSuchAlgorithmException e) {
            throw new IllegalStateException("cannot read the migrations", e);
        }
    }

    private static List<Path> files(URL folder) throws IOException, URISyntaxException {
        if (folder == null || !folder.getProtocol().equals("file")) {
            throw new IOException("the migrations are not in a folder of the class path: " + folder);
        }
        try (Stream<Path> files = Files.list(Path.of(folder.toURI()))) {
            return files.sorted().toList();
        }
    }
}
