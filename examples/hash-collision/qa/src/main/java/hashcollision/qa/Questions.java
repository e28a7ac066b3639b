package hashcollision.qa;

import hashcollision.common.database.Database;
import hashcollision.common.database.Sql;
import hashcollision.common.http.ApiException;
import hashcollision.common.token.Caller;
import java.sql.Connection;
import java.sql.ResultSet;
import java.sql.SQLException;
import java.time.OffsetDateTime;
import java.util.ArrayList;
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

    /** A question that somebody wants to ask. */
    record Draft(String title, String body, List<String> tags) {}

    /** An answer that somebody wants to give. */
    record Reply(long questionId, String body) {}

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

    long ask(Caller author, Draft draft) throws SQLException {
        return database.read(connection -> ask(connection, author, draft));
    }

    /** Asks several in the transaction of a connection. */
    List<Long> ask(Connection connection, Caller author, List<Draft> drafts) throws SQLException {
        List<Long> ids = new ArrayList<>();
        for (Draft draft : drafts) {
            ids.add(ask(connection, author, draft));
        }
        return ids;
    }

    private static long ask(Connection connection, Caller author, Draft draft) throws SQLException {
        return Sql.first(connection, """
                WITH p AS (INSERT INTO post (author_id, author_name, body) VALUES (?, ?, ?) RETURNING id)
                INSERT INTO question (id, title, tags) SELECT id, ?, ? FROM p RETURNING id
                """, row -> row.getLong(1), author.id(), author.name(), draft.body(), draft.title(),
                draft.tags().toArray(String[]::new))
                .orElseThrow();
    }

    long answer(Caller author, Reply reply) throws SQLException {
        return database.read(connection -> answer(connection, author, reply));
    }

    /** Answers several in the transaction of a connection, whose questions are locked. */
    List<Long> answer(Connection connection, Caller author, List<Reply> replies) throws SQLException {
        List<Long> ids = new ArrayList<>();
        for (Reply reply : replies) {
            try {
                ids.add(answer(connection, author, reply));
            } catch (ApiException refused) {
                throw refused.at("answers[" + ids.size() + "]");
            }
        }
        return ids;
    }

    /** One statement counts the answer, looks whether the question exists, and saves. */
    private static long answer(Connection connection, Caller author, Reply reply) throws SQLException {
        return Sql.first(connection, """
                WITH q AS (UPDATE question SET answers = answers + 1 WHERE id = ? RETURNING id),
                     p AS (INSERT INTO post (author_id, author_name, body) SELECT ?, ?, ? FROM q RETURNING id)
                INSERT INTO answer (id, question_id) SELECT p.id, q.id FROM p, q RETURNING id
                """, row -> row.getLong(1), reply.questionId(), author.id(), author.name(), reply.body())
                .orElseThrow(Questions::none);
    }

    /** Takes the rows that answers and acceptances will change, in an order that is always the same. */
    void lock(Connection connection, List<Reply> answers, List<Long> acceptances) throws SQLException {
        if (answers.isEmpty() && acceptances.isEmpty()) {
            return;
        }
        Sql.list(connection, """
                SELECT id FROM question
                WHERE id = ANY (?) OR id IN (SELECT question_id FROM answer WHERE id = ANY (?))
                ORDER BY id FOR UPDATE
                """, row -> row.getLong(1),
                answers.stream().map(Reply::questionId).toArray(Long[]::new), acceptances.toArray(Long[]::new));
    }

    static ApiException none() {
        return ApiException.notFound("There is no such question.");
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
