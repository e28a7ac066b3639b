package hashcollision.user;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;

import hashcollision.common.messaging.EventTypes.VoteCast;
import java.util.List;
import java.util.Map;
import java.util.SortedMap;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

class ReputationTest {
    @ParameterizedTest
    @CsvSource({
        "question,  0,  1,   5",
        "question,  0, -1,  -2",
        "question,  1, -1,  -7",
        "question, -1,  1,   7",
        "answer,    0,  1,  10",
        "answer,    0, -1,  -2",
        "answer,    1, -1, -12",
        "answer,   -1,  1,  12",
    })
    void aVoteChangesReputationByTheDifferenceToTheOneBefore(String post, int previous, int value, int change) {
        assertEquals(change, Reputation.change(vote(post, previous, value)));
    }

    @Test
    void anUnknownVoteIsRefused() {
        assertThrows(IllegalArgumentException.class, () -> Reputation.change(vote("question", 0, 2)));
        assertThrows(IllegalArgumentException.class, () -> Reputation.change(vote("comment", 0, 1)));
    }

    @Test
    void votesOfOneEventAddUpByAuthorAndAuthorsAreSorted() {
        List<VoteCast> votes = List.of(new VoteCast("question", 1, 9, 0, 1), new VoteCast("answer", 2, 4, 0, 1),
                new VoteCast("answer", 3, 9, 1, -1));
        SortedMap<Long, Integer> changes = Reputation.changes(votes);
        assertEquals(Map.of(4L, 10, 9L, 5 - 12), changes);
        assertEquals(List.of(4L, 9L), List.copyOf(changes.keySet()));
    }

    private static VoteCast vote(String post, int previous, int value) {
        return new VoteCast(post, 1, 2, previous, value);
    }
}
