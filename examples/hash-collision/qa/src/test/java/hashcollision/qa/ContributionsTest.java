package hashcollision.qa;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;

import hashcollision.common.http.ApiException;
import hashcollision.common.http.JsonBody;
import java.nio.charset.StandardCharsets;
import java.util.List;
import java.util.stream.Collectors;
import java.util.stream.IntStream;
import org.junit.jupiter.api.Test;

class ContributionsTest {
    @Test
    void everyPartIsReadAsItWouldBeAlone() {
        Contributions.Wanted wanted = read("""
                {"questions": [{"title": " Why is it so? ", "body": "Because?", "tags": ["java"]}],
                 "answers": [{"question": 3, "body": "Yes."}],
                 "acceptances": [{"answer": 5}],
                 "votes": [{"question": 3, "value": 1}, {"answer": 5, "value": -1}]}
                """);
        assertEquals(List.of(new Questions.Draft("Why is it so?", "Because?", List.of("java"))), wanted.questions());
        assertEquals(List.of(new Questions.Reply(3, "Yes.")), wanted.answers());
        assertEquals(List.of(5L), wanted.acceptances());
        assertEquals(List.of(new Votes.Vote(Votes.Kind.QUESTION, 3, 1), new Votes.Vote(Votes.Kind.ANSWER, 5, -1)),
                wanted.votes());
    }

    @Test
    void aWrongPartIsRefusedWithItsPlace() {
        assertRefused("{\"votes\": [{\"answer\": 5, \"value\": 1}, {\"value\": 1}]}", "invalid_vote",
                "votes[1]: Want either a question or an answer.");
        assertRefused("{\"votes\": [{\"answer\": 5, \"question\": 3, \"value\": 1}]}", "invalid_vote",
                "votes[0]: Want either a question or an answer.");
        assertRefused("{\"questions\": [{\"title\": \"Why\", \"body\": \"x\"}]}", "invalid_title",
                "questions[0]: title: want 5 to 200 characters, got 3.");
    }

    @Test
    void theNumberOfAllPartsIsLimited() {
        assertEquals(100, read("{" + list("votes", 100) + "," + list("acceptances", 100) + "}").votes().size());
        assertRefused("{" + list("votes", 100) + "," + list("acceptances", 101) + "}", "invalid_contributions",
                "Want 1 to 200 contributions in all, got 201.");
        assertRefused("{}", "invalid_contributions", "Want 1 to 200 contributions in all, got 0.");
    }

    private static String list(String field, int items) {
        return "\"" + field + "\":" + IntStream.range(0, items)
                .mapToObj(number -> "{\"answer\":" + number + ",\"value\":1}")
                .collect(Collectors.joining(",", "[", "]"));
    }

    private static Contributions.Wanted read(String json) {
        return Contributions.read(JsonBody.parse(json.getBytes(StandardCharsets.UTF_8)));
    }

    private static void assertRefused(String json, String code, String message) {
        ApiException refused = assertThrows(ApiException.class, () -> read(json));
        assertEquals(400, refused.status());
        assertEquals(code, refused.code());
        assertEquals(message, refused.getMessage());
    }
}
