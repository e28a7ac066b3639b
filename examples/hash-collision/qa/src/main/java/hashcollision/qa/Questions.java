package hashcollision.qa;

import hashcollision.common.database.Database;
import hashcollision.common.database.Sql;
import hashcollision.common.token.Caller;
import java.sql.Connection;
import java.sql.ResultSet;
import java.sql.SQLException;
import java.time.OffsetDateTime;
import java.util.List;
import java.util.Optional;

/** Questions and their answers in the database: asked, answered, read. */
final class Questions {
    /** A question in a list. */
    record Summary(long id, String title, List<String> tags, long authorId, String authorName, int score, int answers,
            boolean accepted, String created) {}

    record Page(List<Summary> questions, int page, int pages, int total) {}

    record Question(long id, String title, String body, List<String> tags, long authorId, String authorName, int score,
            String created, Long acceptedAnswerId, List<Answer> answers) {}

    record Answer(long id, String body, long authorId, String authorName, int score, boolean accepted,
            String created) {}

    static final int PAGE_SIZE = 20;

    /** Compares positions rather than patterns: what people type has no special characters. */
    private static final String MATCHES = """
            FROM question q JOIN post p ON p.id = q.id
            WHERE (?::text IS NULL OR strpos(lower(q.title || ' ' || p.body), lower(?::text)) > 0)
              AND (?::text IS NULL OR q.tags @> ARRAY[?::text])
            """;

    private final Database database;

    Questions(Database database) {
        this.database = database;
    }

    /** Newest first. Word and tag may be null, which means any. */
    Page page(String word, String tag, int page) throws SQLException {
        return database.read(connection -> {
            int total = Sql.first(connection, "SELECT count(*) " + MATCHES, row -> row.getInt(1), word, word, tag, tag)
                    .orElseThrow();
            List<Summary> questions = Sql.list(connection, """
                    SELECT q.id, q.title, q.tags, p.author_id, p.author_name, p.score, q.answers,
                           q.accepted_answer_id IS NOT NULL, p.created
                    """ + MATCHES + "ORDER BY q.id DESC LIMIT ? OFFSET ?",
                    Questions::summary, word, word, tag, tag, PAGE_SIZE, (long) (page - 1) * PAGE_SIZE);
            return new Page(questions, page, pages(total), total);
        });
    }

    static int pages(int total) {
        return Math.max(1, (total + PAGE_SIZE - 1) / PAGE_SIZE);
    }

    Optional<Question> find(long id) throws SQLException {
        return database.read(connection -> Sql.first(connection, """
                SELECT q.id, q.title, p.body, q.tags, p.author_id, p.author_name, p.score, p.created,
                       q.accepted_answer_id
                FROM question q JOIN post p ON p.id = q.id WHERE q.id = ?
                """, row -> question(row, answers(connection, id)), id));
    }

    long ask(Caller author, String title, String body, List<String> tags) throws SQLException {
        return database.read(connection -> Sql.first(connection, """
                WITH p AS (INSERT INTO post (author_id, author_name, body) VALUES (?, ?, ?) RETURNING id)
                INSERT INTO question (id, title, tags) SELECT id, ?, ? FROM p RETURNING id
                """, row -> row.getLong(1), author.id(), author.name(), body, title, tags.toArray(String[]::new))
                .orElseThrow());
    }

    /** Empty when there is no such question. */
    Optional<Long> answer(Caller author, long questionId, String body) throws SQLException {
        return database.write(connection -> {
            // Counts and looks whether the question exists at the same time.
            int found = Sql.update(connection, "UPDATE question SET answers = answers + 1 WHERE id = ?", questionId);
            return found == 0 ? Optional.empty() : Sql.first(connection, """
                    WITH p AS (INSERT INTO post (author_id, author_name, body) VALUES (?, ?, ?) RETURNING id)
                    INSERT INTO answer (id, question_id) SELECT id, ? FROM p RETURNING id
                    """, row -> row.getLong(1), author.id(), author.name(), body, questionId);
        });
    }

    /** The accepted one first, then by score. */
    private static List<Answer> answers(Connection connection, long questionId) throws SQLException {
        return Sql.list(connection, """
                SELECT a.id, p.body, p.author_id, p.author_name, p.score,
                       coalesce(q.accepted_answer_id = a.id, false) AS accepted, p.created
                FROM answer a JOIN post p ON p.id = a.id JOIN question q ON q.id = a.question_id
                WHERE a.question_id = ? ORDER BY accepted DESC, p.score DESC, a.id
                """, Questions::answer, questionId);
    }

    private static Summary summary(ResultSet row) throws SQLException {
        return new Summary(row.getLong(1), row.getString(2), texts(row, 3), row.getLong(4), row.getString(5),
                row.getInt(6), row.getInt(7), row.getBoolean(8), time(row, 9));
    }

    private static Question question(ResultSet row, List<Answer> answers) throws SQLException {
        return new Question(row.getLong(1), row.getString(2), row.getString(3), texts(row, 4), row.getLong(5),
                row.getString(6), row.getInt(7), time(row, 8), row.getObject(9, Long.class), answers);
    }

    private static Answer answer(ResultSet row) throws SQLException {
        return new Answer(row.getLong(1), row.getString(2), row.getLong(3), row.getString(4), row.getInt(5),
                row.getBoolean(6), time(row, 7));
    }

    private static List<String> texts(ResultSet row, int column) throws SQLException {
        return List.of((String[]) row.getArray(column).getArray());
    }

    private static String time(ResultSet row, int column) throws SQLException {
        return row.getObject(column, OffsetDateTime.class).toInstant().toString();
    }
}
