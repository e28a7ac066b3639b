package hashcollision.common.messaging;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;

import com.rabbitmq.client.AMQP;
import com.rabbitmq.client.Envelope;
import hashcollision.common.Json;
import java.nio.charset.StandardCharsets;
import java.util.UUID;
import org.junit.jupiter.api.Test;

class EventConsumerTest {
    private static final String ID = "0b5f9a0e-3d8e-4c58-9f8b-3f1f5d0f7a11";

    @Test
    void aMessageIsAnEventWithTheRoutingKeyAsItsType() {
        Event event = parse(ID, "{\"user_id\":7,\"name\":\"Ada\",\"later\":true}");
        assertEquals(UUID.fromString(ID), event.id());
        assertEquals("user.registered", event.type());
        assertEquals(new EventTypes.UserRegistered(7, "Ada"),
                Json.convert(event.data(), EventTypes.UserRegistered.class));
    }

    @Test
    void aMessageThatCannotBeReadIsRefused() {
        assertThrows(IllegalArgumentException.class, () -> parse(null, "{}"));
        assertThrows(IllegalArgumentException.class, () -> parse("not an id", "{}"));
        assertThrows(IllegalArgumentException.class, () -> parse(ID, "{"));
        assertThrows(IllegalArgumentException.class, () -> parse(ID, ""));
        assertThrows(IllegalArgumentException.class, () -> parse(ID, "[]"));
    }

    @Test
    void anEventThatSaysLessThanItMustIsRefused() {
        Event event = parse(ID, "{\"name\":\"Ada\"}");
        assertThrows(IllegalArgumentException.class,
                () -> Json.convert(event.data(), EventTypes.UserRegistered.class));
    }

    private static Event parse(String id, String body) {
        return EventConsumer.parse(new Envelope(1, false, "hash-collision.events", "user.registered"),
                new AMQP.BasicProperties.Builder().messageId(id).build(), body.getBytes(StandardCharsets.UTF_8));
    }
}
