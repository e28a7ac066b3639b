package hashcollision.user;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;

import hashcollision.common.messaging.EventTypes.VoteCast;
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

    private static VoteCast vote(String post, int previous, int value) {
        return new VoteCast(post, 1, 2, previous, value);
    }
}
