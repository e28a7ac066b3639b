package hashcollision.qa;

import hashcollision.common.database.Database;
import hashcollision.common.database.Sql;
import hashcollision.common.http.ApiException;
import hashcollision.common.token.Caller;
import java.sql.Connection;
import java.sql.ResultSet;
import java.sql.SQLException;
import java.time.OffsetDateTime;
import java.util.List;
import java.util.Optional;
import java.util.Set;
import java.util.function.Function;

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
        return database.read(connection -> ask(connection, author, List.of(draft))).get(0);
    }

    /** Asks several by one statement. Returns their ids in order. */
    List<Long> ask(Connection connection, Caller author, List<Draft> drafts) throws SQLException {
        if (drafts.isEmpty()) {
            return List.of();
        }
        List<Long> ids = Sql.list(connection, """
                WITH draft AS MATERIALIZED (
                         SELECT nextval('post_id_seq') AS id, d.*
                         FROM unnest(?::text[], ?::text[], ?::text[]) WITH ORDINALITY AS d (title, body, tags, place)
                         ORDER BY place),
                     p AS (INSERT INTO post (id, author_id, author_name, body) OVERRIDING SYSTEM VALUE
                           SELECT id, ?, ?, body FROM draft)
                INSERT INTO question (id, title, tags) SELECT id, title, string_to_array(tags, ',') FROM draft
                RETURNING id
                """, row -> row.getLong(1),
                texts(drafts, Draft::title), texts(drafts, Draft::body),
                texts(drafts, draft -> String.join(",", draft.tags())),  // no tag has a comma
                author.id(), author.name());
        return inOrder(ids);
    }

    long answer(Caller author, Reply reply) throws SQLException {
        return database.read(connection -> save(connection, author, List.of(reply)))
                .stream().findFirst().orElseThrow(Questions::none);
    }

    /** Answers several by one statement. Returns their ids in order. Takes questions that {@link #lock} locked. */
    List<Long> answer(Connection connection, Caller author, List<Reply> replies, Set<Long> locked) throws SQLException {
        for (int i = 0; i < replies.size(); i++) {
            if (!locked.contains(replies.get(i).questionId())) {
                throw none().at("answers[" + i + "]");
            }
        }
        return replies.isEmpty() ? List.of() : save(connection, author, replies);
    }

    /** One statement counts answers, looks whether their questions exist, and saves those whose question does. */
    private static List<Long> save(Connection connection, Caller author, List<Reply> replies) throws SQLException {
        List<Long> ids = Sql.list(connection, """
                WITH reply AS MATERIALIZED (
                         SELECT nextval('post_id_seq') AS id, r.*
                         FROM unnest(?::bigint[], ?::text[]) WITH ORDINALITY AS r (question_id, body, place)
                         ORDER BY place),
                     asked AS (UPDATE question q SET answers = q.answers + more.answers
                               FROM (SELECT question_id, count(*) AS answers FROM reply GROUP BY question_id) more
                               WHERE q.id = more.question_id RETURNING q.id),
                     p AS (INSERT INTO post (id, author_id, author_name, body) OVERRIDING SYSTEM VALUE
                           SELECT r.id, ?, ?, r.body FROM reply r JOIN asked ON asked.id = r.question_id)
                INSERT INTO answer (id, question_id)
                SELECT r.id, r.question_id FROM reply r JOIN asked ON asked.id = r.question_id RETURNING id
                """, row -> row.getLong(1),
                replies.stream().map(Reply::questionId).toArray(Long[]::new), texts(replies, Reply::body),
                author.id(), author.name());
        return inOrder(ids);
    }

    /** Ids were given in the order of the request, but rows may come back in another. */
    private static List<Long> inOrder(List<Long> ids) {
        return ids.stream().sorted().toList();
    }

    private static <T> String[] texts(List<T> items, Function<T, String> text) {
        return items.stream().map(text).toArray(String[]::new);
    }

    /** Takes the rows that answers and acceptances will change, in an order that is always the same. */
    Set<Long> lock(Connection connection, List<Reply> answers, List<Long> acceptances) throws SQLException {
        if (answers.isEmpty() && acceptances.isEmpty()) {
            return Set.of();
        }
        return Set.copyOf(Sql.list(connection, """
                SELECT id FROM question
                WHERE id = ANY (?) OR id IN (SELECT question_id FROM answer WHERE id = ANY (?))
                ORDER BY id FOR UPDATE
                """, row -> row.getLong(1),
                answers.stream().map(Reply::questionId).toArray(Long[]::new), acceptances.toArray(Long[]::new)));
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
