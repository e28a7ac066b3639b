package hashcollision.common;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Map;

/** What a service is told from outside: names of other services from the environment, passwords from files. */
@AtStart
public final class Settings {
    private final Map<String, String> environment;
    private final Path secrets;

    public Settings(Map<String, String> environment, Path secrets) {
        this.environment = Map.copyOf(environment);
        this.secrets = secrets;
    }

    /** Those of a container; of a laptop, where hashlab says in {@code HASHLAB_SECRETS} which folder has the secrets. */
    public static Settings fromContainer() {
        Map<String, String> environment = System.getenv();
        return new Settings(environment, Path.of(environment.getOrDefault("HASHLAB_SECRETS", "/run/secrets")));
    }

    /** Host name of another service: its name in the Compose file, unless {@code NAME_HOST} says otherwise. */
    public String host(String service) {
        return environment.getOrDefault(service.toUpperCase() + "_HOST", service);
    }

    /** A whole number from the environment. */
    public int number(String name, int otherwise) {
        String text = environment.get(name);
        try {
            return text == null ? otherwise : Integer.parseInt(text);
        } catch (NumberFormatException e) {
            throw new IllegalStateException(name + " is not a whole number: " + text, e);
        }
    }

    /** The content of a secret file, without the newline at its end. */
    public String secret(String name) {
        try {
            String value = Files.readString(secrets.resolve(name)).strip();
            if (value.isEmpty()) {
                throw new IllegalStateException("secret " + name + " is empty");
            }
            return value;
        } catch (IOException e) {
            throw new UncheckedIOException("cannot read secret " + name, e);
        }
    }
}
