package hashcollision.common.messaging;

import com.fasterxml.jackson.databind.JsonNode;
import java.util.UUID;

/** Something that happened in a service. The type is also the routing key, such as {@code user.registered}. */
public record Event(UUID id, String type, JsonNode data) {}
