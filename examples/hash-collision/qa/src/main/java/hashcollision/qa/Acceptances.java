package hashcollision.qa;

import hashcollision.common.database.Sql;
import hashcollision.common.http.ApiException;
import hashcollision.common.messaging.EventTypes;
import hashcollision.common.messaging.Outbox;
import hashcollision.common.token.Caller;
import java.sql.Connection;
import java.sql.SQLException;
import java.util.List;

/** The answer that helped: the author of a question accepts one, and may change to another. */
final class Acceptances {
    private record Question(long id, long authorId, Long acceptedAnswerId, long answererId) {}

    private final Outbox outbox;

    Acceptances(Outbox outbox) {
        this.outbox = outbox;
    }

    void accept(Caller caller, long answerId) throws SQLException {
        outbox.write(connection -> {
            accept(connection, caller, answerId);
            return null;
        });
    }

    /** Accepts several in the transaction of a connection. */
    void accept(Connection connection, Caller caller, List<Long> answerIds) throws SQLException {
        for (int i = 0; i < answerIds.size(); i++) {
            try {
                accept(connection, caller, answerIds.get(i));
            } catch (ApiException refused) {
                throw refused.at("acceptances[" + i + "]");
            }
        }
    }

    private void accept(Connection connection, Caller caller, long answerId) throws SQLException {
        Question question = lockQuestionOf(connection, answerId);
        if (question.authorId() != caller.id()) {
            throw ApiException.forbidden("Only the author of the question accepts an answer.");
        }
        Long before = question.acceptedAnswerId();
        if (before == null || before != answerId) {
            Sql.update(connection, "UPDATE question SET accepted_answer_id = ? WHERE id = ?", answerId, question.id());
            tell(connection, EventTypes.ANSWER_ACCEPTED, answerId, question.answererId());
            if (before != null) {
                tell(connection, EventTypes.ANSWER_UNACCEPTED, before, authorOf(connection, before));
            }
        }
    }

    /** FOR UPDATE gives the row as it is once the lock is held. */
    private static Question lockQuestionOf(Connection connection, long answerId) throws SQLException {
        return Sql.first(connection, """
                SELECT q.id, asker.author_id, q.accepted_answer_id, answerer.author_id
                FROM answer a JOIN question q ON q.id = a.question_id
                     JOIN post asker ON asker.id = q.id JOIN post answerer ON answerer.id = a.id
                WHERE a.id = ? FOR UPDATE OF q
                """, row -> new Question(row.getLong(1), row.getLong(2), row.getObject(3, Long.class), row.getLong(4)),
                answerId)
                .orElseThrow(() -> ApiException.notFound("There is no such answer."));
    }

    private static long authorOf(Connection connection, long postId) throws SQLException {
        return Sql.first(connection, "SELECT author_id FROM post WHERE id = ?", row -> row.getLong(1), postId)
                .orElseThrow();
    }

    private void tell(Connection connection, String type, long answerId, long authorId) throws SQLException {
        outbox.add(connection, type, new EventTypes.AnswerAccepted(answerId, authorId));
    }
}
