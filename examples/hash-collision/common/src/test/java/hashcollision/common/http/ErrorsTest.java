package hashcollision.common.http;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertSame;

import hashcollision.common.Json;
import io.javalin.http.HttpResponseException;
import java.sql.SQLException;
import java.sql.SQLTransientConnectionException;
import java.time.Duration;
import org.junit.jupiter.api.Test;

class ErrorsTest {
    @Test
    void anExpectedErrorStaysAsItIs() {
        ApiException taken = ApiException.conflict("name_taken", "This name is taken.");
        assertSame(taken, Errors.toApi(taken));
        assertEquals("{\"error\":{\"code\":\"name_taken\",\"message\":\"This name is taken.\"}}",
                Json.text(Errors.body(taken)));
    }

    @Test
    void aRefusalForSomeTimeSaysForHowLong() {
        ApiException refused = ApiException.tooManyRequests("Too many.", Duration.ofMillis(61_500));
        assertEquals(429, refused.status());
        assertEquals(62, refused.retryAfter().orElseThrow());
        assertEquals("Too many. Try again in 2 minutes.", refused.getMessage());
        assertEquals("Too many. Try again in a minute.",
                ApiException.tooManyRequests("Too many.", Duration.ofSeconds(60)).getMessage());
        assertEquals("Too many. Try again in 1 s.",
                ApiException.tooManyRequests("Too many.", Duration.ZERO).getMessage());
    }

    @Test
    void theErrorsOfRoutingGetCodes() {
        assertEquals("not_found", Errors.toApi(new HttpResponseException(404, "")).code());
        assertEquals("method_not_allowed", Errors.toApi(new HttpResponseException(405, "")).code());
        assertEquals("too_large", Errors.toApi(new HttpResponseException(413, "")).code());
    }

    @Test
    void aDatabaseThatIsAwayIsNotTheFaultOfTheRequest() {
        assertEquals(503, Errors.toApi(new SQLTransientConnectionException("no connection")).status());
        assertEquals(503, Errors.toApi(new SQLException("going down", "57P01")).status());
        assertEquals(503, Errors.toApi(new SQLException("connection lost", "08006")).status());
    }

    @Test
    void anUnexpectedErrorTellsNothingOfItsCause() {
        ApiException error = Errors.toApi(new IllegalStateException("password is hunter2"));
        assertEquals(500, error.status());
        assertFalse(error.getMessage().contains("hunter2"));
        assertEquals(500, Errors.toApi(new SQLException("syntax error", "42601")).status());
    }
}
