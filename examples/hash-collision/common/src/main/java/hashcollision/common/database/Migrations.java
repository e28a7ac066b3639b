package hashcollision.common.database;

import hashcollision.common.AtStart;
import javax.sql.DataSource;
import org.flywaydb.core.Flyway;

/** Brings a schema up to date: what all services have in common, then the service's own. */
@AtStart
final class Migrations {
    private Migrations() {}

    static void run(DataSource source) {
        Flyway.configure()
                .dataSource(source)
                .locations("classpath:db/common", "classpath:db/service")
                .loggers("slf4j")
                .load()
                .migrate();
    }
}
