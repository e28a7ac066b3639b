package hashcollision.common.http;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

class RequestsTest {
    @Test
    void anIdIsANumber() {
        assertEquals(42, Requests.id("42"));
    }

    @ParameterizedTest
    @ValueSource(strings = {"", "abc", "-1", "+1", "1.0", "9999999999999999999", "\u0663"})
    void whatIsNoIdNamesNothing(String text) {
        assertEquals(404, assertThrows(ApiException.class, () -> Requests.id(text)).status());
    }

    @Test
    void thePageIsTheFirstUnlessAskedFor() {
        assertEquals(1, Requests.page((String) null));
        assertEquals(1, Requests.page(""));
        assertEquals(7, Requests.page("7"));
    }

    @ParameterizedTest
    @ValueSource(strings = {"0", "-1", "x", "1.5", "99999999"})
    void anyOtherPageIsRefused(String text) {
        assertEquals(400, assertThrows(ApiException.class, () -> Requests.page(text)).status());
    }
}
