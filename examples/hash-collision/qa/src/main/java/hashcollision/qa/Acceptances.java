package hashcollision.qa;

import hashcollision.common.database.Sql;
import hashcollision.common.http.ApiException;
import hashcollision.common.messaging.EventTypes;
import hashcollision.common.messaging.Outbox;
import hashcollision.common.token.Caller;
import java.sql.Connection;
import java.sql.SQLException;

/** The answer that helped: the author of a question accepts one, and may change to another. */
final class Acceptances {
    private record Question(long id, long authorId, Long acceptedAnswerId) {}

    private final Outbox outbox;

    Acceptances(Outbox outbox) {
        this.outbox = outbox;
    }

    void accept(Caller caller, long answerId) throws SQLException {
        outbox.write(connection -> {
            Question question = lockQuestionOf(connection, answerId);
            if (question.authorId() != caller.id()) {
                throw ApiException.forbidden("Only the author of the question accepts an answer.");
            }
            Long before = question.acceptedAnswerId();
            if (before == null || before != answerId) {
                Sql.update(connection, "UPDATE question SET accepted_answer_id = ? WHERE id = ?", answerId,
                        question.id());
                tell(connection, EventTypes.ANSWER_ACCEPTED, answerId);
                if (before != null) {
                    tell(connection, EventTypes.ANSWER_UNACCEPTED, before);
                }
            }
            return null;
        });
    }

    /** FOR UPDATE gives the row as it is once the lock is held. */
    private static Question lockQuestionOf(Connection connection, long answerId) throws SQLException {
        return Sql.first(connection, """
                SELECT q.id, p.author_id, q.accepted_answer_id
                FROM answer a JOIN question q ON q.id = a.question_id JOIN post p ON p.id = q.id
                WHERE a.id = ? FOR UPDATE OF q
                """, row -> new Question(row.getLong(1), row.getLong(2), row.getObject(3, Long.class)), answerId)
                .orElseThrow(() -> ApiException.notFound("There is no such answer."));
    }

    private void tell(Connection connection, String type, long answerId) throws SQLException {
        long authorId = Sql.first(connection, "SELECT author_id FROM post WHERE id = ?", row -> row.getLong(1),
                answerId).orElseThrow();
        outbox.add(connection, type, new EventTypes.AnswerAccepted(answerId, authorId));
    }
}
