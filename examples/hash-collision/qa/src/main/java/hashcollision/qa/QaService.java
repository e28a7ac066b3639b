package hashcollision.qa;

import hashcollision.common.AtStart;
import hashcollision.common.Service;
import hashcollision.common.Settings;
import hashcollision.common.messaging.Outbox;
import hashcollision.common.token.Tokens;

/** Questions, answers, votes. */
@AtStart
public final class QaService {
    private QaService() {}

    public static void main(String[] args) {
        Service service = new Service("qa", Settings.fromContainer());
        Outbox outbox = service.broker().outbox();
        Tokens tokens = new Tokens(service.settings().secret("token_key"));
        Questions questions = new Questions(service.database());
        Votes votes = new Votes(outbox);
        Acceptances acceptances = new Acceptances(outbox);
        Contributions contributions = new Contributions(outbox, questions, acceptances, votes);
        service.start(new QaRoutes(tokens, questions, votes, acceptances, contributions)::register);
    }
}
