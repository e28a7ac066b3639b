package hashcollision.qa;

import hashcollision.common.database.Sql;
import hashcollision.common.http.ApiException;
import hashcollision.common.messaging.EventTypes;
import hashcollision.common.messaging.Outbox;
import hashcollision.common.token.Caller;
import java.sql.Connection;
import java.sql.SQLException;
import java.util.Collection;
import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Set;

/** The answer that helped: the author of a question accepts one, and may change to another. */
final class Acceptances {
    /** An answer that somebody wants to accept, and its question as it is. */
    record Choice(long answerId, long answererId, long questionId, long askerId, Long before) {
        boolean changes() {
            return before == null || before != answerId;
        }
    }

    private final Outbox outbox;

    Acceptances(Outbox outbox) {
        this.outbox = outbox;
    }

    void accept(Caller caller, long answerId) throws SQLException {
        outbox.write(connection -> {
            Map<Long, Choice> choices = lock(connection, List.of(answerId));
            check(caller, choices.get(answerId));
            save(connection, choices.values());
            return null;
        });
    }

    /** Accepts several in the transaction of a connection, with as many statements as one takes. */
    void accept(Connection connection, Caller caller, List<Long> answerIds) throws SQLException {
        if (!answerIds.isEmpty()) {
            Map<Long, Choice> choices = lock(connection, answerIds);
            checkAll(caller, answerIds, choices);
            save(connection, choices.values());
        }
    }

    /** Refuses the first acceptance that may not be, and tells which it is. */
    static void checkAll(Caller caller, List<Long> answerIds, Map<Long, Choice> choices) {
        Set<Long> questions = new HashSet<>();
        for (int i = 0; i < answerIds.size(); i++) {
            Choice choice = choices.get(answerIds.get(i));
            try {
                check(caller, choice);
                if (!questions.add(choice.questionId())) {
                    throw ApiException.badRequest("accepted_twice", "An answer to the same question is before it.");
                }
            } catch (ApiException refused) {
                throw refused.at("acceptances[" + i + "]");
            }
        }
    }

    private static void check(Caller caller, Choice choice) {
        if (choice == null) {
            throw ApiException.notFound("There is no such answer.");
        }
        if (choice.askerId() != caller.id()) {
            throw ApiException.forbidden("Only the author of the question accepts an answer.");
        }
    }

    /** By id of the answer. FOR UPDATE gives the rows as they are once the locks are held. */
    private static Map<Long, Choice> lock(Connection connection, List<Long> answerIds) throws SQLException {
        Map<Long, Choice> choices = new LinkedHashMap<>();
        Sql.each(connection, """
                SELECT a.id, answerer.author_id, q.id, asker.author_id, q.accepted_answer_id
                FROM answer a JOIN question q ON q.id = a.question_id
                     JOIN post asker ON asker.id = q.id JOIN post answerer ON answerer.id = a.id
                WHERE a.id = ANY (?) ORDER BY q.id FOR UPDATE OF q
                """, row -> choices.put(row.getLong(1), new Choice(row.getLong(1), row.getLong(2), row.getLong(3),
                        row.getLong(4), row.getObject(5, Long.class))),
                (Object) answerIds.toArray(Long[]::new));
        return choices;
    }

    private void save(Connection connection, Collection<Choice> choices) throws SQLException {
        List<Choice> changed = choices.stream().filter(Choice::changes).toList();
        if (changed.isEmpty()) {
            return;
        }
        Sql.update(connection, """
                UPDATE question q SET accepted_answer_id = c.answer_id
                FROM unnest(?::bigint[], ?::bigint[]) AS c (id, answer_id) WHERE q.id = c.id
                """,
                changed.stream().map(Choice::questionId).toArray(Long[]::new),
                changed.stream().map(Choice::answerId).toArray(Long[]::new));
        outbox.add(connection, EventTypes.ANSWER_ACCEPTED, changed.stream()
                .map(choice -> new EventTypes.AnswerAccepted(choice.answerId(), choice.answererId())).toList());
        Long[] before = changed.stream().map(Choice::before).filter(Objects::nonNull).toArray(Long[]::new);
        if (before.length > 0) {
            outbox.add(connection, EventTypes.ANSWER_UNACCEPTED, Sql.list(connection,
                    "SELECT id, author_id FROM post WHERE id = ANY (?)",
                    row -> new EventTypes.AnswerAccepted(row.getLong(1), row.getLong(2)), (Object) before));
        }
    }
}
