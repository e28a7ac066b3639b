package hashcollision.common.messaging;

import java.util.List;

/** The events of this application. Each record is the data of the type it stands with. */
public final class EventTypes {
    public static final String USER_REGISTERED = "user.registered";
    public static final String VOTE_CAST = "vote.cast";
    public static final String VOTES_CAST = "votes.cast";
    public static final String ANSWER_ACCEPTED = "answer.accepted";
    public static final String ANSWER_UNACCEPTED = "answer.unaccepted";

    public record UserRegistered(long userId, String name) {}

    /** Votes of one transaction: one for each post at most. */
    public record VotesCast(List<VoteCast> votes) {}

    /**
     * A vote. As an event of its own it comes from before there was {@link #VOTES_CAST}: some may still wait.
     * {@code post} is "question" or "answer"; {@code previous} is 0 for a first vote.
     */
    public record VoteCast(String post, long postId, long authorId, int previous, int value) {}

    /** Also the data of {@link #ANSWER_UNACCEPTED}: another answer was accepted in place of this one. */
    public record AnswerAccepted(long answerId, long authorId) {}

    private EventTypes() {}
}
