package hashcollision.common.token;

/** Who sent a request, as the token says. */
public record Caller(long id, String name) {}
