import java.io.BufferedReader;
import java.io.ByteArrayInputStream;
import java.io.ByteArrayOutputStream;
import java.io.DataInputStream;
import java.io.IOException;
import java.io.InputStream;
import java.io.InputStreamReader;
import java.io.OutputStream;
import java.io.PrintStream;
import java.io.StringWriter;
import java.net.URI;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashMap;
import java.util.HashSet;
import java.util.HexFormat;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;
import java.util.TreeSet;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.FutureTask;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.stream.Stream;
import javax.tools.FileObject;
import javax.tools.ForwardingJavaFileManager;
import javax.tools.JavaCompiler;
import javax.tools.JavaFileManager;
import javax.tools.JavaFileObject;
import javax.tools.SimpleJavaFileObject;
import javax.tools.StandardJavaFileManager;
import javax.tools.StandardLocation;
import javax.tools.ToolProvider;

/**
 * Brings the classes of a service up to date after an edit, in a JVM that stays: what Maven's clean build would leave
 * there, byte for byte, without starting Maven.
 *
 * <p>Reads a request a line from standard input, writes an answer a line to standard output, both JSON, until the input
 * ends. The current folder is the one with the parent pom.xml. Several services are built at once, as far as there are
 * processors. What is kept from one request to the next is the opened JAR of libraries and what was compiled last, by
 * the content it was compiled from; everything else is read from the disk again.
 */
public final class JavaWorker {
    private final Map<String, Libraries> libraries = new ConcurrentHashMap<>();
    private final Compiled compiled = new Compiled();

    public static void main(String[] args) throws IOException {
        PrintStream answers = new PrintStream(System.out, true, StandardCharsets.UTF_8);
        System.setOut(System.err);  // only answers go to standard output
        JavaWorker worker = new JavaWorker();
        var requests = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
        ExecutorService builds = Executors.newFixedThreadPool(Runtime.getRuntime().availableProcessors());
        try {
            for (String line = requests.readLine(); line != null; line = requests.readLine()) {
                Request request = Request.of(Json.parse(line));
                builds.execute(() -> worker.build(request, answers));
            }
        } finally {
            builds.shutdown();  // the JVM ends when all that was asked is answered
        }
    }

    private void build(Request request, PrintStream answers) {
        try {
            String answer = Json.text(answer(request).fields(request.id()));
            synchronized (answers) {
                answers.println(answer);
            }
        } catch (Error broken) {
            broken.printStackTrace();
            Runtime.getRuntime().halt(1);  // nobody would answer this request, and somebody waits
        }
    }

    private Answer answer(Request request) {
        try {
            requireMavensJava();
            Libraries mine = Libraries.of(request.output().resolve("lib"), libraries.get(request.target()));
            if (mine != libraries.put(request.target(), mine)) {
                compiled.forget();
            }
            return new Build(request, mine, compiled).run();
        } catch (CannotKnow reason) {
            return new Answer("rebuild", reason.getMessage(), "");
        } catch (CompileErrors errors) {
            return new Answer("failed", "compile errors", errors.getMessage());
        } catch (IOException | RuntimeException unexpected) {
            unexpected.printStackTrace();
            return new Answer("rebuild", unexpected.toString(), "");
        }
    }

    /** Another javac may write other bytes than the one in Maven's JVM. */
    private static void requireMavensJava() throws IOException, CannotKnow {
        String home = System.getenv("JAVA_HOME");
        if (home != null && !home.isEmpty()
                && !Path.of(home).toRealPath().equals(Path.of(System.getProperty("java.home")).toRealPath())) {
            throw new CannotKnow("JAVA_HOME names another Java than this one: " + home);
        }
        if (ToolProvider.getSystemJavaCompiler() == null) {
            throw new CannotKnow("there is no compiler in " + System.getProperty("java.home"));
        }
    }
}

/** Maven has to build: the reason why this cannot be done file by file. */
final class CannotKnow extends Exception {
    private static final long serialVersionUID = 1;

    CannotKnow(String message) {
        super(message);
    }
}

/** The sources are wrong: javac's messages. */
final class CompileErrors extends Exception {
    private static final long serialVersionUID = 1;

    CompileErrors(String messages) {
        super(messages);
    }
}

/** What is asked: the files that changed or are gone since the output was right. All paths are relative. */
record Request(long id, String target, Path output, List<String> changed, List<String> removed) {
    static Request of(Map<String, Object> fields) {
        return new Request((Long) fields.get("id"), (String) fields.get("target"),
                Path.of((String) fields.get("output")), strings(fields.get("changed")), strings(fields.get("removed")));
    }

    private static List<String> strings(Object list) {
        return ((List<?>) list).stream().map(String.class::cast).toList();
    }
}

record Answer(String result, String detail, String output) {
    Map<String, Object> fields(long id) {
        Map<String, Object> fields = new LinkedHashMap<>();
        fields.put("id", id);
        fields.put("result", result);
        fields.put("detail", detail);
        fields.put("output", output);
        return fields;
    }
}

/** One request at work. Nothing is written before all is compiled. */
final class Build {
    private final Request request;
    private final Libraries libraries;
    private final Compiled compiled;
    private final Path classes;
    private final List<Module> modules;
    private final Set<String> changedSources = new TreeSet<>();
    private boolean onlyBodies = true;

    Build(Request request, Libraries libraries, Compiled compiled) throws IOException, CannotKnow {
        this.request = request;
        this.libraries = libraries;
        this.compiled = compiled;
        this.classes = request.output().resolve("classes");
        if (!Files.isDirectory(classes)) {
            throw new CannotKnow("there is no " + classes);
        }
        this.modules = List.of(Module.of("common"), Module.of(request.target()));
        for (Module module : modules) {
            for (Module other : modules) {
                if (module != other && other.sources().keySet().stream().anyMatch(module.sources()::containsKey)) {
                    throw new CannotKnow("two modules have a source of the same name");
                }
            }
        }
    }

    Answer run() throws IOException, CannotKnow, CompileErrors {
        Map<String, Path> resources = resources();
        readSources();
        Map<String, ClassFile> old = oldClasses();
        Map<String, ClassFile> now = old;
        if (!changedSources.isEmpty() || !onlyBodies) {
            now = onlyBodies && allKnown(old) ? changedOnly(old) : null;
            if (now == null) {
                now = everything();
            }
        }
        Changes changes = Changes.between(old, now, resources);
        changes.write(classes, request.output().resolveSibling("worker.tmp"));
        return new Answer("done", changes.summary(), "");
    }

    /** Sorts the Java sources of the request, and notes when some came or went. */
    private void readSources() throws CannotKnow {
        for (String path : request.changed()) {
            Module module = Module.owner(modules, path);
            if (module.isJava(path)) {
                changedSources.add(module.inJava(path));
                onlyBodies &= module.sources().containsKey(module.inJava(path));
            }
        }
        for (String path : request.removed()) {
            onlyBodies &= !Module.owner(modules, path).isJava(path);
        }
    }

    /** Each changed resource by its name in the output; null for one that is gone. */
    private Map<String, Path> resources() throws CannotKnow {
        Map<String, Path> found = new TreeMap<>();
        for (List<String> paths : List.of(request.changed(), request.removed())) {
            for (String path : paths) {
                Module module = Module.owner(modules, path);
                if (module.isResource(path)) {
                    String name = module.inResources(path);
                    requireSingle(name);
                    found.put(name, paths == request.changed() ? Path.of(path) : null);
                }
            }
        }
        return found;
    }

    private void requireSingle(String resource) throws CannotKnow {
        if (modules.stream().filter(module -> Files.exists(module.resources().resolve(resource))).count() > 1) {
            throw new CannotKnow("two modules have the resource " + resource);
        }
        for (Path part : Path.of(resource)) {
            if (!part.toString().matches("[A-Za-z0-9].*[^~]|[A-Za-z0-9]") || resource.endsWith(".class")) {
                throw new CannotKnow("Maven has rules of its own for a resource of the name " + resource);
            }
        }
    }

    private Map<String, ClassFile> oldClasses() throws IOException, CannotKnow {
        Map<String, ClassFile> found = new TreeMap<>();
        for (Path path : Module.below(classes, ".class")) {
            found.put(Module.name(classes, path), ClassFile.read(Files.readAllBytes(path)));
        }
        for (Map.Entry<String, ClassFile> entry : found.entrySet()) {
            String source = entry.getValue().source();
            boolean known = modules.stream().anyMatch(module -> module.sources().containsKey(source));
            if (!known && onlyBodies) {
                throw new CannotKnow("no source makes " + entry.getKey());
            }
        }
        return found;
    }

    /** Whether each changed source has made classes before; a new one can hide names from others. */
    private boolean allKnown(Map<String, ClassFile> old) {
        Set<String> known = new HashSet<>();
        old.values().forEach(file -> known.add(file.source()));
        return known.containsAll(changedSources);
    }

    /** All classes after compiling only what changed; null when that may matter to classes that did not change. */
    private Map<String, ClassFile> changedOnly(Map<String, ClassFile> old) throws CompileErrors, IOException {
        Map<String, ClassFile> now = new TreeMap<>(old);
        now.values().removeIf(file -> changedSources.contains(file.source()));
        for (Module module : modules) {
            List<Path> sources = module.only(changedSources);
            if (!sources.isEmpty()) {
                Map<String, ClassFile> visible = new TreeMap<>(now);
                visible.values().removeIf(file -> !module.maySee(modules, file));
                try {
                    now.putAll(compiled.from(sources, visible, libraries));
                } catch (CompileErrors errors) {
                    return null;  // perhaps right together with the others; if not, all errors are shown at once
                }
            }
        }
        return ClassFile.sameApi(old, now) ? now : null;
    }

    /** All classes after compiling all sources, module by module: no module sees those that follow it. */
    private Map<String, ClassFile> everything() throws CompileErrors, IOException {
        Map<String, ClassFile> now = new TreeMap<>();
        for (Module module : modules) {
            if (!module.sources().isEmpty()) {
                now.putAll(compiled.from(List.copyOf(module.sources().values()), now, libraries));
            }
        }
        return now;
    }
}

/** A Maven module: its sources by their names below src/main/java. */
record Module(Path java, Path resources, Map<String, Path> sources) {
    static Module of(String folder) throws IOException {
        Path java = Path.of(folder, "src", "main", "java");
        Map<String, Path> sources = new TreeMap<>();
        for (Path path : below(java, ".java")) {
            sources.put(name(java, path), path);
        }
        return new Module(java, Path.of(folder, "src", "main", "resources"), sources);
    }

    static List<Path> below(Path folder, String ending) throws IOException {
        if (!Files.isDirectory(folder)) {
            return List.of();
        }
        try (Stream<Path> paths = Files.walk(folder)) {
            return paths.filter(path -> path.toString().endsWith(ending) && Files.isRegularFile(path)).sorted().toList();
        }
    }

    static String name(Path folder, Path file) {
        return folder.relativize(file).toString().replace('\\', '/');
    }

    static Module owner(List<Module> modules, String path) throws CannotKnow {
        for (Module module : modules) {
            if (Path.of(path).startsWith(module.java) || Path.of(path).startsWith(module.resources)) {
                return module;
            }
        }
        throw new CannotKnow("neither a source nor a resource: " + path);
    }

    boolean isJava(String path) {
        return path.endsWith(".java") && Path.of(path).startsWith(java);
    }

    boolean isResource(String path) {
        return Path.of(path).startsWith(resources);
    }

    String inJava(String path) {
        return name(java, Path.of(path));
    }

    String inResources(String path) {
        return name(resources, Path.of(path));
    }

    List<Path> only(Set<String> names) {
        return names.stream().filter(sources::containsKey).map(sources::get).toList();
    }

    /** Whether sources of this module are compiled with that class in sight: it is of this module or one before. */
    boolean maySee(List<Module> modules, ClassFile file) {
        return modules.subList(0, modules.indexOf(this) + 1).stream()
                .anyMatch(module -> module.sources.containsKey(file.source()));
    }
}

/**
 * The last few results of javac, by the content of the sources and of the classes in sight. A module that several services
 * use is compiled once for all of them, as Maven does; whoever asks meanwhile waits for it.
 */
final class Compiled {
    private static final int KEPT = 12;

    private final Map<String, FutureTask<Map<String, ClassFile>>> results = new LinkedHashMap<>(KEPT, 0.75f, true) {
        private static final long serialVersionUID = 1;

        @Override
        protected boolean removeEldestEntry(Map.Entry<String, FutureTask<Map<String, ClassFile>>> eldest) {
            return size() > KEPT;
        }
    };

    /** The classes that sources make, by their names below an output folder. */
    Map<String, ClassFile> from(List<Path> sources, Map<String, ClassFile> visible, Libraries libraries)
            throws CompileErrors, IOException {
        String content = content(sources, visible);
        FutureTask<Map<String, ClassFile>> result;
        synchronized (results) {
            result = results.computeIfAbsent(content,
                    unused -> new FutureTask<>(() -> libraries.compile(sources, visible)));
        }
        boolean sound = false;
        try {
            result.run();  // unless somebody did, or does
            Map<String, ClassFile> classes = result.get();
            // A source may have been saved after it was hashed and before javac read it.
            sound = content.equals(content(sources, visible));
            return classes;
        } catch (ExecutionException failed) {
            if (failed.getCause() instanceof CompileErrors errors) {
                throw errors;
            }
            throw new IOException(failed.getCause());
        } catch (InterruptedException interrupt) {
            throw new IOException(interrupt);
        } finally {
            if (!sound) {
                synchronized (results) {
                    results.remove(content, result);
                }
            }
        }
    }

    /** Libraries changed: what was compiled with others in sight counts no more. */
    void forget() {
        synchronized (results) {
            results.clear();
        }
    }

    private static String content(List<Path> sources, Map<String, ClassFile> visible) throws IOException {
        MessageDigest digest;
        try {
            digest = MessageDigest.getInstance("SHA-256");
        } catch (NoSuchAlgorithmException impossible) {
            throw new IllegalStateException(impossible);  // every Java has it
        }
        add(digest, String.join(" ", Libraries.options()), new byte[0]);
        for (Path source : sources) {
            add(digest, source.toString(), Files.readAllBytes(source));
        }
        visible.forEach((name, file) -> add(digest, name, file.bytes()));
        return HexFormat.of().formatHex(digest.digest());
    }

    /** With its length before each part, so that no two lists of parts are alike. */
    private static void add(MessageDigest digest, String name, byte[] bytes) {
        for (byte[] part : List.of(name.getBytes(StandardCharsets.UTF_8), bytes)) {
            digest.update((part.length + ":").getBytes(StandardCharsets.UTF_8));
            digest.update(part);
        }
    }
}

/** javac, with a folder of JARs on its class path that stay open. */
final class Libraries {
    private static final Pattern RELEASE = Pattern.compile("<maven\\.compiler\\.release>\\s*(\\d+)\\s*<");

    private final List<Object> identity;
    private final StandardJavaFileManager files;

    private Libraries(List<Path> jars, List<Object> identity) throws IOException {
        this.identity = identity;
        this.files = ToolProvider.getSystemJavaCompiler().getStandardFileManager(null, null, StandardCharsets.UTF_8);
        files.setLocationFromPaths(StandardLocation.CLASS_PATH, jars);
    }

    /** Those of a folder; {@code open} again if they are still the same files. */
    static Libraries of(Path folder, Libraries open) throws IOException, CannotKnow {
        List<Path> jars = Module.below(folder, ".jar");
        if (jars.isEmpty()) {
            throw new CannotKnow("there is no JAR in " + folder);
        }
        List<Object> identity = new ArrayList<>();
        for (Path jar : jars) {
            // Not the time of modification: a build sets it to the same moment always.
            identity.add(List.of(jar, Files.getAttribute(jar, "unix:ino"), Files.getAttribute(jar, "unix:ctime"),
                    Files.size(jar)));
        }
        if (open != null && open.identity.equals(identity)) {
            return open;
        }
        if (open != null) {
            open.files.close();
        }
        return new Libraries(jars, identity);
    }

    /** The classes that sources make, by their names below an output folder. */
    Map<String, ClassFile> compile(List<Path> sources, Map<String, ClassFile> visible)
            throws CompileErrors, IOException {
        StringWriter messages = new StringWriter();
        InMemory output = new InMemory(files, visible);
        JavaCompiler.CompilationTask task = ToolProvider.getSystemJavaCompiler().getTask(messages, output, null,
                options(), null, files.getJavaFileObjectsFromPaths(sources));
        if (!task.call()) {
            throw new CompileErrors(messages.toString());
        }
        return output.made();
    }

    /** What Maven's compiler plugin passes, as far as it decides about bytes. */
    static List<String> options() throws IOException {
        Matcher release = RELEASE.matcher(Files.readString(Path.of("pom.xml")));
        if (!release.find()) {
            throw new IOException("pom.xml does not set maven.compiler.release");
        }
        return List.of("-g", "--release", release.group(1), "-encoding", "UTF-8", "-proc:none", "-nowarn",
                "-implicit:none");
    }
}

/** Shows javac the project's own classes before the libraries, and keeps what it writes. */
final class InMemory extends ForwardingJavaFileManager<JavaFileManager> {
    private final Map<String, List<JavaFileObject>> packages = new HashMap<>();
    private final Map<String, ByteArrayOutputStream> written = new TreeMap<>();

    InMemory(JavaFileManager files, Map<String, ClassFile> visible) {
        super(files);
        visible.forEach((name, file) -> packages
                .computeIfAbsent(name.substring(0, Math.max(0, name.lastIndexOf('/'))).replace('/', '.'),
                        unused -> new ArrayList<>())
                .add(new Known(name, file.bytes())));
    }

    Map<String, ClassFile> made() throws IOException {
        Map<String, ClassFile> made = new TreeMap<>();
        for (Map.Entry<String, ByteArrayOutputStream> entry : written.entrySet()) {
            made.put(entry.getKey(), ClassFile.read(entry.getValue().toByteArray()));
        }
        return made;
    }

    @Override
    public Iterable<JavaFileObject> list(Location location, String packageName, Set<JavaFileObject.Kind> kinds,
            boolean recurse) throws IOException {
        Iterable<JavaFileObject> others = super.list(location, packageName, kinds, recurse);
        List<JavaFileObject> own = packages.getOrDefault(packageName, List.of());
        if (location != StandardLocation.CLASS_PATH || own.isEmpty() || !kinds.contains(JavaFileObject.Kind.CLASS)) {
            return others;
        }
        List<JavaFileObject> all = new ArrayList<>(own);
        others.forEach(all::add);
        return all;
    }

    @Override
    public String inferBinaryName(Location location, JavaFileObject file) {
        return file instanceof Known known ? known.binaryName() : super.inferBinaryName(location, file);
    }

    @Override
    public boolean isSameFile(FileObject one, FileObject other) {
        return one instanceof Known || other instanceof Known ? one == other : super.isSameFile(one, other);
    }

    @Override
    public JavaFileObject getJavaFileForOutput(Location location, String className, JavaFileObject.Kind kind,
            FileObject sibling) {
        String name = className.replace('.', '/') + kind.extension;
        return new SimpleJavaFileObject(URI.create("new:///" + name.replace("$", "%24")), kind) {
            @Override
            public OutputStream openOutputStream() {
                ByteArrayOutputStream bytes = new ByteArrayOutputStream();
                written.put(name, bytes);
                return bytes;
            }
        };
    }

    private static final class Known extends SimpleJavaFileObject {
        private final String name;
        private final byte[] bytes;

        Known(String name, byte[] bytes) {
            super(URI.create("old:///" + name.replace("$", "%24")), Kind.CLASS);
            this.name = name;
            this.bytes = bytes;
        }

        String binaryName() {
            return name.substring(0, name.length() - Kind.CLASS.extension.length()).replace('/', '.');
        }

        @Override
        public InputStream openInputStream() {
            return new ByteArrayInputStream(bytes);
        }
    }
}

/**
 * A compiled class: its bytes, the source it comes from (below src/main/java), and its API: all that classes of other
 * sources may depend on, as one text.
 */
record ClassFile(byte[] bytes, String source, String api) {
    /** Reads what javac has written. */
    static ClassFile read(byte[] bytes) throws IOException {
        return new ClassFileReader(bytes).read();
    }

    /** Whether no class of another source can tell the difference. */
    static boolean sameApi(Map<String, ClassFile> old, Map<String, ClassFile> now) {
        Set<String> names = new HashSet<>(old.keySet());
        names.addAll(now.keySet());
        return names.stream().allMatch(name -> api(old.get(name)).equals(api(now.get(name)))
                && (old.get(name) == now.get(name) || !api(now.get(name)).startsWith(ClassFileReader.ANNOTATION)));
    }

    private static String api(ClassFile file) {
        return file == null ? "" : file.api;
    }
}

/** Reads a class file (Java Virtual Machine Specification, chapter 4) as far as {@link ClassFile} needs it. */
final class ClassFileReader {
    /** The API of an annotation: what it says about itself can change how others are compiled, so none is like another. */
    static final String ANNOTATION = "annotation ";

    private static final int PRIVATE = 0x0002;
    private static final int SYNTHETIC = 0x1000;
    private static final int IS_ANNOTATION = 0x2000;

    private final byte[] bytes;
    private final DataInputStream in;
    private final StringBuilder api = new StringBuilder();
    private Object[] constants;
    private String name;
    private String sourceFile = "";
    private boolean local;

    ClassFileReader(byte[] bytes) {
        this.bytes = bytes;
        this.in = new DataInputStream(new ByteArrayInputStream(bytes));
    }

    ClassFile read() throws IOException {
        in.skipNBytes(8);
        readConstants();
        int flags = in.readUnsignedShort();
        name = constant();
        say("class", flags, name, constant());
        for (int left = in.readUnsignedShort(); left > 0; left--) {
            say("implements", constant());
        }
        readMembers("field");
        readMembers("method");
        readAttributes();
        String folder = name.substring(0, name.lastIndexOf('/') + 1);
        // Nobody else can name a class inside a method, or one that javac made for itself.
        boolean unseen = local || (flags & SYNTHETIC) != 0;
        String kind = (flags & IS_ANNOTATION) != 0 ? ANNOTATION : "";
        return new ClassFile(bytes, folder + sourceFile, unseen ? "" : kind + api);
    }

    private void readConstants() throws IOException {
        constants = new Object[in.readUnsignedShort()];
        for (int i = 1; i < constants.length; i++) {
            int tag = in.readUnsignedByte();
            switch (tag) {
                case 1 -> constants[i] = in.readUTF();
                case 3 -> constants[i] = "int " + in.readInt();
                case 4 -> constants[i] = "float " + in.readInt();  // its bits, for 0.0 and -0.0 differ
                case 5 -> constants[i++] = "long " + in.readLong();
                case 6 -> constants[i++] = "double " + in.readLong();
                case 7, 8, 16, 19, 20 -> constants[i] = in.readUnsignedShort();
                case 9, 10, 11, 12, 17, 18 -> in.skipNBytes(4);
                case 15 -> in.skipNBytes(3);
                default -> throw new IOException("unknown constant " + tag + " in a class file");
            }
        }
    }

    /** The text of the constant whose index comes next. */
    private String constant() throws IOException {
        Object value = constants[in.readUnsignedShort()];
        return String.valueOf(value instanceof Integer index ? constants[index] : value);
    }

    private void say(Object... words) {
        api.append(Arrays.toString(words)).append('\n');
    }

    private void readMembers(String kind) throws IOException {
        for (int left = in.readUnsignedShort(); left > 0; left--) {
            int flags = in.readUnsignedShort();
            int before = api.length();
            say(kind, flags, constant(), constant());
            readAttributes();
            if ((flags & PRIVATE) != 0) {
                api.setLength(before);
            }
        }
    }

    private void readAttributes() throws IOException {
        for (int left = in.readUnsignedShort(); left > 0; left--) {
            String attribute = constant();
            int length = in.readInt();
            switch (attribute) {
                case "SourceFile" -> sourceFile = constant();
                case "ConstantValue", "Signature" -> say(attribute, constant());
                case "Exceptions", "PermittedSubclasses" -> {
                    for (int names = in.readUnsignedShort(); names > 0; names--) {
                        say(attribute, constant());
                    }
                }
                case "Record" -> readComponents();
                case "InnerClasses" -> readInnerClasses();
                default -> {
                    local |= attribute.equals("EnclosingMethod");
                    in.skipNBytes(length);
                }
            }
        }
    }

    private void readComponents() throws IOException {
        for (int left = in.readUnsignedShort(); left > 0; left--) {
            say("component", constant(), constant());
            readAttributes();
        }
    }

    /** The attribute also names classes of others that are merely used; only those of this class are its API. */
    private void readInnerClasses() throws IOException {
        for (int left = in.readUnsignedShort(); left > 0; left--) {
            String inner = constant();
            String outer = constant();
            String simple = constant();
            int flags = in.readUnsignedShort();
            if (inner.equals(name) || outer.equals(name)) {
                say("nested", inner, outer, simple, flags);
            }
        }
    }
}

/** What has to be done to the folder of classes: content by name, null for what goes. */
record Changes(Map<String, byte[]> files, int classes) {
    static Changes between(Map<String, ClassFile> old, Map<String, ClassFile> now, Map<String, Path> resources)
            throws IOException {
        Map<String, byte[]> files = new TreeMap<>();
        for (Map.Entry<String, ClassFile> entry : now.entrySet()) {
            ClassFile before = old.get(entry.getKey());
            if (before == null || !Arrays.equals(before.bytes(), entry.getValue().bytes())) {
                files.put(entry.getKey(), entry.getValue().bytes());
            }
        }
        old.keySet().stream().filter(name -> !now.containsKey(name)).forEach(name -> files.put(name, null));
        int classes = files.size();
        for (Map.Entry<String, Path> entry : resources.entrySet()) {
            files.put(entry.getKey(), entry.getValue() == null ? null : Files.readAllBytes(entry.getValue()));
        }
        return new Changes(files, classes);
    }

    String summary() {
        int others = files.size() - classes;
        String counted = classes == 1 ? "1 class" : classes + " classes";
        return others == 0 ? counted : counted + (others == 1 ? ", 1 resource" : ", " + others + " resources");
    }

    /** Each file is replaced in one step, by way of a scratch file outside the folder. */
    void write(Path folder, Path scratch) throws IOException {
        for (Map.Entry<String, byte[]> entry : files.entrySet()) {
            if (entry.getValue() == null) {
                Files.deleteIfExists(folder.resolve(entry.getKey()));
                removeEmpty(folder, folder.resolve(entry.getKey()).getParent());
            }
        }
        for (Map.Entry<String, byte[]> entry : files.entrySet()) {
            if (entry.getValue() != null) {
                Path path = folder.resolve(entry.getKey());
                Files.createDirectories(path.getParent());
                Files.write(scratch, entry.getValue());
                Files.move(scratch, path, StandardCopyOption.ATOMIC_MOVE, StandardCopyOption.REPLACE_EXISTING);
            }
        }
    }

    private static void removeEmpty(Path top, Path folder) throws IOException {
        for (Path path = folder; !path.equals(top) && Files.isDirectory(path); path = path.getParent()) {
            try (Stream<Path> inside = Files.list(path)) {
                if (inside.findAny().isPresent()) {
                    return;
                }
            }
            Files.delete(path);
        }
    }
}

/** As much JSON as requests and answers need: objects, lists, texts and whole numbers. */
final class Json {
    private final String text;
    private int at;

    private Json(String text) {
        this.text = text;
    }

    @SuppressWarnings("unchecked")
    static Map<String, Object> parse(String text) {
        return (Map<String, Object>) new Json(text).value();
    }

    static String text(Map<String, Object> fields) {
        StringBuilder out = new StringBuilder("{");
        fields.forEach((name, value) -> {
            out.append(out.length() > 1 ? ", " : "").append(quoted(name)).append(": ")
                    .append(value instanceof String string ? quoted(string) : value);
        });
        return out.append('}').toString();
    }

    private static String quoted(String value) {
        StringBuilder out = new StringBuilder("\"");
        for (char c : value.toCharArray()) {
            if (c == '"' || c == '\\') {
                out.append('\\').append(c);
            } else if (c < ' ') {
                out.append(String.format("\\u%04x", (int) c));
            } else {
                out.append(c);
            }
        }
        return out.append('"').toString();
    }

    private Object value() {
        char first = next();
        return switch (first) {
            case '{' -> object();
            case '[' -> list();
            case '"' -> string();
            default -> number();
        };
    }

    /** The next character that is not white space, which stays the next. */
    private char next() {
        while (Character.isWhitespace(text.charAt(at))) {
            at++;
        }
        return text.charAt(at);
    }

    private void take(char wanted) {
        if (next() != wanted) {
            throw new IllegalArgumentException("no " + wanted + " at character " + at + " of " + text);
        }
        at++;
    }

    private boolean more(char end) {
        if (next() == end) {
            at++;
            return false;
        }
        if (next() == ',') {
            at++;
        }
        return true;
    }

    private Map<String, Object> object() {
        Map<String, Object> found = new HashMap<>();
        take('{');
        while (more('}')) {
            String name = string();
            take(':');
            found.put(name, value());
        }
        return found;
    }

    private List<Object> list() {
        List<Object> found = new ArrayList<>();
        take('[');
        while (more(']')) {
            found.add(value());
        }
        return found;
    }

    private Long number() {
        int start = at;
        while (at < text.length() && "-0123456789".indexOf(text.charAt(at)) >= 0) {
            at++;
        }
        return Long.valueOf(text.substring(start, at));
    }

    private String string() {
        StringBuilder found = new StringBuilder();
        take('"');
        for (char c = text.charAt(at++); c != '"'; c = text.charAt(at++)) {
            found.append(c == '\\' ? escaped() : c);
        }
        return found.toString();
    }

    private char escaped() {
        char c = text.charAt(at++);
        if (c == 'u') {
            at += 4;
            return (char) Integer.parseInt(text.substring(at - 4, at), 16);
        }
        int known = "bfnrt".indexOf(c);
        return known < 0 ? c : "\b\f\n\r\t".charAt(known);
    }
}
