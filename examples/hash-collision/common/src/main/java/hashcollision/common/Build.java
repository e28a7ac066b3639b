package hashcollision.common;

/** Which build runs here; hashlab compares it with what was built. */
public final class Build {
    // Both are set through the debugger's port when classes are swapped into the running process: tools/hotswap.py.
    private static volatile String id = System.getenv().getOrDefault("HASHLAB_BUILD", "unknown");
    private static volatile String swapped = "";  // which class files; read through that port as well

    private Build() {}

    /** What the container was started with, or was given since. May change at any time: ask again. */
    public static String id() {
        return id;
    }
}
