package hashcollision.user;

import hashcollision.common.messaging.EventTypes.VoteCast;
import java.util.List;
import java.util.SortedMap;
import java.util.TreeMap;

/** What a vote or an accepted answer is worth to the author of the post. */
final class Reputation {
    static final int ACCEPTED_ANSWER = 15;

    private Reputation() {}

    /** The change that a vote makes; for a vote that replaces another, the difference between the two. */
    static int change(VoteCast vote) {
        return points(vote.post(), vote.value()) - points(vote.post(), vote.previous());
    }

    /** What several votes change, by author. */
    static SortedMap<Long, Integer> changes(List<VoteCast> votes) {
        SortedMap<Long, Integer> changes = new TreeMap<>();
        for (VoteCast vote : votes) {
            changes.merge(vote.authorId(), change(vote), Integer::sum);
        }
        return changes;
    }

    private static int points(String post, int value) {
        return switch (value) {
            case 1 -> upvote(post);
            case -1 -> -2;
            case 0 -> 0;
            default -> throw new IllegalArgumentException("no such vote: " + value);
        };
    }

    private static int upvote(String post) {
        return switch (post) {
            case "question" -> 5;
            case "answer" -> 10;
            default -> throw new IllegalArgumentException("no such post: " + post);
        };
    }
}
