package hashcollision.qa;

import hashcollision.common.http.ApiException;
import hashcollision.common.http.JsonBody;
import hashcollision.common.messaging.Outbox;
import hashcollision.common.token.Caller;
import java.sql.SQLException;
import java.util.List;
import java.util.Set;

/**
 * Much of one person at once, such as what was written without a connection, or comes from another place. All of it
 * counts or nothing does, and every part obeys the rules that it would obey alone.
 */
final class Contributions {
    /** So many parts at most have their transaction's locks at once. */
    static final int LIMIT = 200;

    record Wanted(List<Questions.Draft> questions, List<Questions.Reply> answers, List<Long> acceptances,
            List<Votes.Vote> votes) {
        Wanted {
            int parts = questions.size() + answers.size() + acceptances.size() + votes.size();
            if (parts == 0 || parts > LIMIT) {
                throw ApiException.badRequest("invalid_contributions",
                        "Want 1 to " + LIMIT + " contributions in all, got " + parts + ".");
            }
        }
    }

    /** Ids of what is new, and what became of the votes; each list in the order of the request's. */
    record Added(List<Long> questions, List<Long> answers, List<Votes.Cast> votes) {}

    private final Outbox outbox;
    private final Questions questions;
    private final Acceptances acceptances;
    private final Votes votes;

    Contributions(Outbox outbox, Questions questions, Acceptances acceptances, Votes votes) {
        this.outbox = outbox;
        this.questions = questions;
        this.acceptances = acceptances;
        this.votes = votes;
    }

    static Wanted read(JsonBody body) {
        return new Wanted(
                body.items("questions", LIMIT, QaRoutes::draft),
                body.items("answers", LIMIT, item -> new Questions.Reply(item.id("question"), QaRoutes.text(item))),
                body.items("acceptances", LIMIT, item -> item.id("answer")),
                body.items("votes", LIMIT, Contributions::vote));
    }

    private static Votes.Vote vote(JsonBody item) {
        if (item.has("question") == item.has("answer")) {
            throw ApiException.badRequest("invalid_vote", "Want either a question or an answer.");
        }
        Votes.Kind kind = item.has("question") ? Votes.Kind.QUESTION : Votes.Kind.ANSWER;
        return new Votes.Vote(kind, item.id(kind.word()), item.sign("value"));
    }

    /** Always in the same order, questions before posts, so that two of these never wait for each other. */
    Added add(Caller caller, Wanted wanted) throws SQLException {
        return outbox.write(connection -> {
            Set<Long> locked = questions.lock(connection, wanted.answers(), wanted.acceptances());
            List<Long> asked = questions.ask(connection, caller, wanted.questions());
            List<Long> answered = questions.answer(connection, caller, wanted.answers(), locked);
            acceptances.accept(connection, caller, wanted.acceptances());
            return new Added(asked, answered, votes.cast(connection, caller, wanted.votes()));
        });
    }
}
