package hashcollision.qa;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

class QuestionsTest {
    @ParameterizedTest
    @CsvSource({"0, 1", "1, 1", "20, 1", "21, 2", "110, 6"})
    void thereIsAlwaysAPageAndTheLastMayBeShort(int total, int pages) {
        assertEquals(pages, Questions.pages(total));
    }

    @Test
    void aTagIsShortAndPlain() {
        assertTrue(QaRoutes.TAG.matcher("java-17").matches());
        assertFalse(QaRoutes.TAG.matcher("Java").matches());
        assertFalse(QaRoutes.TAG.matcher("").matches());
        assertFalse(QaRoutes.TAG.matcher("x".repeat(31)).matches());
    }
}
