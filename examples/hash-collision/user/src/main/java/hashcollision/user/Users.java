package hashcollision.user;

import hashcollision.common.database.Database;
import hashcollision.common.database.Sql;
import java.sql.Connection;
import java.sql.ResultSet;
import java.sql.SQLException;
import java.util.List;
import java.util.Optional;
import java.util.SortedMap;

/** The users in the database. */
final class Users {
    record User(long id, String name, int reputation) {}

    private static final int LIST_LIMIT = 1000;
    private static final String SELECT = """
            SELECT u.id, u.name, coalesce(r.points, 0)
            FROM registered_user u LEFT JOIN reputation r ON r.user_id = u.id
            """;

    private final Database database;

    Users(Database database) {
        this.database = database;
    }

    /** All users, those with the highest reputation first. */
    List<User> list() throws SQLException {
        return database.read(connection -> Sql.list(connection,
                SELECT + "ORDER BY 3 DESC, u.id LIMIT " + LIST_LIMIT, Users::user));
    }

    Optional<User> find(long id) throws SQLException {
        return database.read(connection -> Sql.first(connection, SELECT + "WHERE u.id = ?", Users::user, id));
    }

    static void add(Connection connection, long id, String name) throws SQLException {
        Sql.update(connection, "INSERT INTO registered_user (id, name) VALUES (?, ?) ON CONFLICT DO NOTHING", id, name);
    }

    /** Sorted by user, so that two transactions take the rows in the same order. */
    static void addPoints(Connection connection, SortedMap<Long, Integer> points) throws SQLException {
        Sql.update(connection, """
                INSERT INTO reputation (user_id, points) SELECT * FROM unnest(?::bigint[], ?::integer[])
                ON CONFLICT (user_id) DO UPDATE SET points = reputation.points + excluded.points
                """, points.keySet().toArray(Long[]::new), points.values().toArray(Integer[]::new));
    }

    private static User user(ResultSet row) throws SQLException {
        return new User(row.getLong(1), row.getString(2), row.getInt(3));
    }
}
