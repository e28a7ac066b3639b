package hashcollision.common.messaging;

import com.rabbitmq.client.BuiltinExchangeType;
import com.rabbitmq.client.Channel;
import hashcollision.common.AtStart;
import java.io.IOException;
import java.util.List;
import java.util.Map;

/** Exchanges and queues. Each side declares what it uses, so neither has to start first. */
@AtStart
final class Topology {
    static final String EXCHANGE = "hash-collision.events";

    private Topology() {}

    static void declareExchange(Channel channel) throws IOException {
        channel.exchangeDeclare(EXCHANGE, BuiltinExchangeType.TOPIC, true);
    }

    /** A durable queue for some types of events, with another for events that can never be handled. */
    static void declareQueue(Channel channel, String queue, List<String> types) throws IOException {
        declareExchange(channel);
        String dead = queue + ".dead";
        channel.queueDeclare(dead, true, false, false, null);
        channel.queueDeclare(queue, true, false, false,
                Map.of("x-dead-letter-exchange", "", "x-dead-letter-routing-key", dead));
        for (String type : types) {
            channel.queueBind(queue, EXCHANGE, type);
        }
    }
}
