package hashcollision.qa;

import hashcollision.common.AtStart;
import hashcollision.common.http.Http;
import hashcollision.common.http.JsonBody;
import hashcollision.common.http.Requests;
import hashcollision.common.token.Caller;
import hashcollision.common.token.Tokens;
import io.javalin.config.RoutesConfig;
import io.javalin.http.Context;
import java.io.IOException;
import java.sql.SQLException;
import java.util.regex.Pattern;

/** Questions, answers and votes over HTTP. Everybody reads; writing needs a token. */
final class QaRoutes {
    static final Pattern TAG = Pattern.compile("[a-z0-9-]{1,30}");

    record Created(long id) {}

    record Score(int score) {}

    record Accepted(boolean accepted) {}

    private final Tokens tokens;
    private final Questions questions;
    private final Votes votes;
    private final Acceptances acceptances;
    private final Contributions contributions;

    QaRoutes(Tokens tokens, Questions questions, Votes votes, Acceptances acceptances, Contributions contributions) {
        this.tokens = tokens;
        this.questions = questions;
        this.votes = votes;
        this.acceptances = acceptances;
        this.contributions = contributions;
    }

    @AtStart
    void register(RoutesConfig routes) {
        routes.get("/api/qa/questions", this::list);
        routes.post("/api/qa/questions", this::ask);
        routes.get("/api/qa/questions/{id}", this::get);
        routes.post("/api/qa/questions/{id}/answers", this::answer);
        routes.post("/api/qa/questions/{id}/votes", context -> vote(context, Votes.Kind.QUESTION));
        routes.post("/api/qa/answers/{id}/votes", context -> vote(context, Votes.Kind.ANSWER));
        routes.post("/api/qa/answers/{id}/acceptance", this::accept);
        routes.post("/api/qa/contributions", this::contribute);
    }

    private void list(Context context) throws SQLException {
        String word = Requests.word(context, "q", 200);
        String tag = Requests.word(context, "tag", 30);
        Http.json(context, 200, questions.page(word, tag, Requests.page(context)));
    }

    private void get(Context context) throws SQLException {
        Http.json(context, 200, questions.find(Requests.id(context)).orElseThrow(Questions::none));
    }

    private void ask(Context context) throws IOException, SQLException {
        Caller caller = tokens.caller(context);
        Http.json(context, 201, new Created(questions.ask(caller, draft(JsonBody.of(context)))));
    }

    private void answer(Context context) throws IOException, SQLException {
        Caller caller = tokens.caller(context);
        String text = text(JsonBody.of(context));
        Http.json(context, 201, new Created(questions.answer(caller,
                new Questions.Reply(Requests.id(context), text))));
    }

    private void vote(Context context, Votes.Kind kind) throws IOException, SQLException {
        Caller caller = tokens.caller(context);
        int value = JsonBody.of(context).sign("value");
        Http.json(context, 200, new Score(votes.cast(caller, new Votes.Vote(kind, Requests.id(context), value))));
    }

    private void accept(Context context) throws SQLException {
        acceptances.accept(tokens.caller(context), Requests.id(context));
        Http.json(context, 200, new Accepted(true));
    }

    private void contribute(Context context) throws IOException, SQLException {
        Caller caller = tokens.caller(context);
        Http.json(context, 200, contributions.add(caller, Contributions.read(JsonBody.of(context))));
    }

    static Questions.Draft draft(JsonBody body) {
        return new Questions.Draft(body.text("title", 5, 200), text(body), body.texts("tags", 5, TAG));
    }

    static String text(JsonBody body) {
        return body.text("body", 1, 20_000);
    }
}
