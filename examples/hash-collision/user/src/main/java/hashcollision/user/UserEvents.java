package hashcollision.user;

import hashcollision.common.Json;
import hashcollision.common.messaging.Event;
import hashcollision.common.messaging.EventTypes;
import java.sql.Connection;
import java.sql.SQLException;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;

/** What other services tell about users. Points only add up, so the order of events does not matter. */
final class UserEvents {
    static final String QUEUE = "user.events";

    private UserEvents() {}

    static void handle(Connection connection, Event event) throws SQLException {
        switch (event.type()) {
            case EventTypes.USER_REGISTERED -> {
                var registered = Json.convert(event.data(), EventTypes.UserRegistered.class);
                Users.add(connection, registered.userId(), registered.name());
            }
            case EventTypes.VOTES_CAST -> {
                var cast = Json.convert(event.data(), EventTypes.VotesCast.class);
                Users.addPoints(connection, Reputation.changes(cast.votes()));
            }
            case EventTypes.VOTE_CAST -> {
                var vote = Json.convert(event.data(), EventTypes.VoteCast.class);
                Users.addPoints(connection, Reputation.changes(List.of(vote)));
            }
            case EventTypes.ANSWER_ACCEPTED -> addForAnswer(connection, event, Reputation.ACCEPTED_ANSWER);
            case EventTypes.ANSWER_UNACCEPTED -> addForAnswer(connection, event, -Reputation.ACCEPTED_ANSWER);
            default -> throw new IllegalArgumentException("no such event: " + event.type());
        }
    }

    private static void addForAnswer(Connection connection, Event event, int points) throws SQLException {
        var answer = Json.convert(event.data(), EventTypes.AnswerAccepted.class);
        Users.addPoints(connection, new TreeMap<>(Map.of(answer.authorId(), points)));
    }
}
