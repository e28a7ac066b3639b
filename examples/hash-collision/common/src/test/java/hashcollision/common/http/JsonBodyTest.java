package hashcollision.common.http;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;

import java.nio.charset.StandardCharsets;
import java.util.List;
import java.util.regex.Pattern;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.function.Executable;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

class JsonBodyTest {
    private static final Pattern TAG = Pattern.compile("[a-z]{1,3}");

    @ParameterizedTest
    @ValueSource(strings = {"", "{", "[]", "1", "null", "{} {}", "{\"a\":1,}", "\u00e9"})
    void whatIsNotOneJsonObjectIsRefused(String json) {
        assertRefused("malformed_json", () -> body(json));
    }

    @Test
    void aTextIsStrippedAndItsLengthIsCountedInCharactersThatPeopleSee() {
        assertEquals("Ada", body("{\"name\":\"  Ada \"}").text("name", 3, 3));
        assertEquals("\ud83d\ude00", body("{\"name\":\"\ud83d\ude00\"}").text("name", 1, 1));
    }

    @Test
    void aPasswordKeepsItsSpaces() {
        assertEquals("  x ", body("{\"password\":\"  x \"}").rawText("password", 4, 4));
    }

    @ParameterizedTest
    @ValueSource(strings = {"{}", "{\"name\":null}", "{\"name\":5}", "{\"name\":\"ab\"}", "{\"name\":\"   \"}",
        "{\"name\":\"abcdef\"}", "{\"name\":\"ab\\u0000c\"}", "{\"name\":\"ab\\ud800c\"}"})
    void aTextOfTheWrongKindLengthOrContentIsRefused(String json) {
        assertRefused("invalid_name", () -> body(json).text("name", 3, 5));
    }

    @Test
    void aSignIsOneOrMinusOne() {
        assertEquals(1, body("{\"value\":1}").sign("value"));
        assertEquals(-1, body("{\"value\":-1}").sign("value"));
    }

    @ParameterizedTest
    @ValueSource(strings = {"{}", "{\"value\":0}", "{\"value\":2}", "{\"value\":\"1\"}", "{\"value\":1.0}",
        "{\"value\":true}", "{\"value\":4294967297}", "{\"value\":-2147483648}"})
    void anyOtherSignIsRefused(String json) {
        assertRefused("invalid_value", () -> body(json).sign("value"));
    }

    @Test
    void listsKeepTheirOrderAndLoseRepetitions() {
        assertEquals(List.of("b", "a"), body("{\"tags\":[\"b\",\"a\",\"b\"]}").texts("tags", 3, TAG));
        assertEquals(List.of(), body("{}").texts("tags", 3, TAG));
    }

    @ParameterizedTest
    @ValueSource(strings = {"{\"tags\":\"a\"}", "{\"tags\":[\"A\"]}", "{\"tags\":[1]}", "{\"tags\":[\"\"]}",
        "{\"tags\":[\"a\",\"b\",\"c\",\"d\"]}"})
    void listsThatAreTooLongOrHaveOtherItemsAreRefused(String json) {
        assertRefused("invalid_tags", () -> body(json).texts("tags", 3, TAG));
    }

    @Test
    void anIdIsANumberThatFitsTheDatabase() {
        assertEquals(Long.MAX_VALUE, body("{\"question\":9223372036854775807}").id("question"));
    }

    @ParameterizedTest
    @ValueSource(strings = {"{}", "{\"question\":null}", "{\"question\":\"1\"}", "{\"question\":1.5}",
        "{\"question\":-1}", "{\"question\":9223372036854775808}"})
    void anyOtherIdIsRefused(String json) {
        assertRefused("invalid_question", () -> body(json).id("question"));
    }

    @Test
    void itemsAreReadInOrderAndNoneAreAnEmptyList() {
        assertEquals(List.of(1, -1), body("{\"votes\":[{\"value\":1},{\"value\":-1}]}")
                .items("votes", 2, item -> item.sign("value")));
        assertEquals(List.of(), body("{}").items("votes", 2, item -> item.sign("value")));
    }

    @Test
    void aWrongItemIsRefusedWithItsPlace() {
        JsonBody body = body("{\"votes\":[{\"value\":1},{\"value\":2}]}");
        ApiException refused = assertRefused("invalid_value", () -> body.items("votes", 9, item -> item.sign("value")));
        assertEquals("votes[1]: value: want 1 or -1.", refused.getMessage());
    }

    @ParameterizedTest
    @ValueSource(strings = {"{\"votes\":{}}", "{\"votes\":[1]}", "{\"votes\":[{},[]]}", "{\"votes\":[{},{},{}]}"})
    void itemsThatAreTooManyOrNoObjectsAreRefused(String json) {
        assertRefused("invalid_votes", () -> body(json).items("votes", 2, item -> item));
    }

    private static JsonBody body(String json) {
        return JsonBody.parse(json.getBytes(StandardCharsets.UTF_8));
    }

    private static ApiException assertRefused(String code, Executable read) {
        ApiException refused = assertThrows(ApiException.class, read);
        assertEquals(400, refused.status());
        assertEquals(code, refused.code());
        return refused;
    }
}
