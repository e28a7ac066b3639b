package hashcollision.qa;

import static org.junit.jupiter.api.Assertions.assertDoesNotThrow;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import hashcollision.common.http.ApiException;
import hashcollision.common.token.Caller;
import hashcollision.qa.Acceptances.Choice;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.Test;

class AcceptancesTest {
    private static final Caller ADA = new Caller(7, "Ada");
    private static final Map<Long, Choice> CHOICES = Map.of(
            11L, new Choice(11, 8, 1, ADA.id(), null),
            12L, new Choice(12, 8, 1, ADA.id(), null),
            21L, new Choice(21, 8, 2, ADA.id(), 22L),
            31L, new Choice(31, ADA.id(), 3, 8, null));

    @Test
    void theAskerAcceptsOneAnswerForEachQuestion() {
        assertDoesNotThrow(() -> Acceptances.checkAll(ADA, List.of(11L, 21L), CHOICES));
    }

    @Test
    void twoAnswersToOneQuestionAreRefused() {
        assertRefused(400, "acceptances[1]: An answer to the same question is before it.", List.of(11L, 12L));
    }

    @Test
    void nobodyAcceptsForSomebodyElse() {
        assertRefused(403, "acceptances[1]: Only the author of the question accepts an answer.", List.of(11L, 31L));
    }

    @Test
    void anAnswerThatIsNotThereIsRefused() {
        assertRefused(404, "acceptances[0]: There is no such answer.", List.of(99L));
    }

    @Test
    void acceptingTheAcceptedAnswerChangesNothing() {
        assertTrue(new Choice(11, 8, 1, 7, null).changes());
        assertTrue(new Choice(11, 8, 1, 7, 12L).changes());
        assertFalse(new Choice(1011, 8, 1, 7, 1011L).changes());
    }

    private static void assertRefused(int status, String message, List<Long> answers) {
        ApiException refused = assertThrows(ApiException.class, () -> Acceptances.checkAll(ADA, answers, CHOICES));
        assertEquals(status, refused.status());
        assertEquals(message, refused.getMessage());
    }
}
