package hashcollision.qa;

import static hashcollision.qa.Votes.Kind.ANSWER;
import static hashcollision.qa.Votes.Kind.QUESTION;
import static org.junit.jupiter.api.Assertions.assertDoesNotThrow;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;

import hashcollision.common.http.ApiException;
import hashcollision.common.token.Caller;
import hashcollision.qa.Votes.Post;
import hashcollision.qa.Votes.Vote;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.Test;

class VotesTest {
    private static final Caller ADA = new Caller(7, "Ada");
    private static final Map<Long, Post> POSTS = Map.of(
            1L, new Post(QUESTION, 8, 3, 0),
            2L, new Post(ANSWER, 8, 0, 1),
            3L, new Post(ANSWER, ADA.id(), 0, 0));

    @Test
    void votesForPostsOfOthersAreGoodAlsoThoseThatWereGivenBefore() {
        assertDoesNotThrow(() -> check(new Vote(QUESTION, 1, 1), new Vote(ANSWER, 2, 1)));
    }

    @Test
    void aVoteForOnesOwnPostIsRefusedWithItsPlace() {
        assertRefused(403, "forbidden", "votes[1]: You cannot vote for your own post.",
                new Vote(QUESTION, 1, 1), new Vote(ANSWER, 3, 1));
    }

    @Test
    void aPostThatIsNotThereIsRefused() {
        assertRefused(404, "not_found", "votes[0]: There is no such question.", new Vote(QUESTION, 9, 1));
    }

    @Test
    void anAnswerIsNoQuestion() {
        assertRefused(404, "not_found", "votes[1]: There is no such question.",
                new Vote(ANSWER, 2, -1), new Vote(QUESTION, 2, -1));
    }

    @Test
    void aPostHasOneVoteInARequest() {
        assertRefused(400, "voted_twice", "votes[2]: There is another vote for the same post before it.",
                new Vote(QUESTION, 1, 1), new Vote(ANSWER, 2, -1), new Vote(QUESTION, 1, -1));
    }

    private static void check(Vote... votes) {
        Votes.checkAll(ADA, List.of(votes), POSTS);
    }

    private static void assertRefused(int status, String code, String message, Vote... votes) {
        ApiException refused = assertThrows(ApiException.class, () -> check(votes));
        assertEquals(status, refused.status());
        assertEquals(code, refused.code());
        assertEquals(message, refused.getMessage());
    }
}
