"""For the tests of the hot-swap tool: a compiler that stays running, a small shop in a JVM, the
tool.
"""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Self, TypeVar

from hashlab.drivers.laptop import free_port

EXAMPLE = Path(__file__).parents[2] / "examples" / "hash-collision"
TOOLS = EXAMPLE / "tools"
COMMON = EXAMPLE / "common" / "src" / "main" / "java" / "hashcollision" / "common"
SECONDS = 30.0
FIRST, SECOND = "000000000001", "000000000002"

Found = TypeVar("Found")

# Compiles on request, so that a test needs time for javac but not for the start of a JVM.
COMPILER = """
import java.nio.file.*; import java.util.*; import javax.tools.*;
public class Compiler {
    public static void main(String[] none) throws Exception {
        JavaCompiler javac = ToolProvider.getSystemJavaCompiler();
        Scanner lines = new Scanner(System.in);
        while (lines.hasNextLine()) {
            String[] words = lines.nextLine().split("\\t");
            List<String> call = new ArrayList<>(List.of("-g", "-d", words[1]));
            try (var files = Files.walk(Path.of(words[0]))) {
                files.filter(one -> one.toString().endsWith(".java")).forEach(
                        one -> call.add(one.toString()));
            }
            System.out.println(javac.run(null, null, null, call.toArray(String[]::new)));
        }
    }
}
"""

MAIN = """
package shop;
import java.io.*; import java.net.*;
public class Main {
    static final Shop SHOP = new Shop();
    public static void main(String[] words) throws Exception {
        if (words.length == 0) hashcollision.common.Build.id();
        ServerSocket server = new ServerSocket(0, 50, InetAddress.getByName("127.0.0.1"));
        System.out.println("shop: " + server.getLocalPort());
        while (true) {
            Socket socket = server.accept();
            new Thread(() -> serve(socket), "talk").start();
        }
    }
    static void serve(Socket socket) {
        try (socket; BufferedReader in = new BufferedReader(
                new InputStreamReader(socket.getInputStream()))) {
            for (String line = in.readLine(); line != null; line = in.readLine()) {
                socket.getOutputStream().write((answer(line) + "\\n").getBytes());
            }
        } catch (IOException gone) {
            throw new UncheckedIOException(gone);
        }
    }
    static String answer(String line) {
        return switch (line) {
            case "price" -> Shop.price();
            case "visit" -> Shop.visit();
            case "greet" -> SHOP.greet("Ada");
            case "later" -> Shop.LATER.get();
            case "build" -> hashcollision.common.Build.id();
            case "late" -> Late.text();
            case "till" -> Till.open();
            case "work" -> Shop.work();
            case "relay" -> Relay.begin();
            case "many" -> "" + Many.count(3);
            default -> "what?";
        };
    }
}
"""

SHOP = """
package shop;
import java.util.function.Supplier;
public class Shop {
    static int visits;
    static final Object DOOR = new Object();
    static final Supplier<String> LATER = later();
    static Thread worker;
    private final String sign;
    Shop() { this.sign = "open"; }
    static String price() { return "1 coin"; }
    static String visit() { visits++; return "visit " + visits; }
    String greet(String who) { return "Hello " + who; }
    static Supplier<String> later() {
        Supplier<String> one = () -> "one", two = () -> "two"; return one;
    }
    static Object named(String kind) { Supplier<String> name = Shop::price; return name; }
    @hashcollision.common.AtStart
    static void routes() { System.getProperty("first"); }
    static String work() {
        worker = new Thread(Shop::loop, "looper");
        worker.setDaemon(true);
        worker.start();
        return "started";
    }
    static void loop() {
        synchronized (DOOR) {
            while (true) {
                try { DOOR.wait(); } catch (InterruptedException end) { return; }
            }
        }
    }
}
"""

TILL = 'package shop; final class Till { int coins = 1; static String open() { return "till 1"; } }'
LATE = 'package shop; class Late { int coins = 1; static String text() { return "late 1"; } }'

# One thread after another runs pass(). At any time one is in it, and none stays.
RELAY = """
package shop;
final class Relay extends Thread {
    private volatile boolean inside;
    static String begin() {
        Relay first = new Relay(); first.setDaemon(true); first.start(); return "begun";
    }
    @Override public void run() { pass(); }
    void pass() {
        inside = true;
        try { Thread.sleep(5); } catch (InterruptedException end) { return; }
        Relay next = new Relay();
        next.start();
        while (!next.inside) { Thread.onSpinWait(); }
    }
}
"""


def many(word: str, count: int) -> str:
    """Return a class with so many constants that their numbers need two bytes, with jumps across
    them.
    """
    cases = "".join(f'case {n}: total += "{word}{n}".length(); break;\n' for n in range(count))
    far = "".join(f'case {n * 1000}: total += "{word}".length(); break;\n' for n in range(9))
    return (
        "package shop; class Many { static int count(int much) { int total = 0;"
        f" for (int i = 0; i < much; i++) {{ switch (i) {{ {cases} default: total--; }}"
        f' switch (i) {{ {far} }} if ("last {word}".length() > i) {{ total++; }} }}'
        " return total; } }"
    )


SOURCES = {
    "Main": MAIN,
    "Shop": SHOP,
    "Till": TILL,
    "Late": LATE,
    "Relay": RELAY,
    "Many": many("a", 20),
}


def until(look: Callable[[], Found | None]) -> Found:
    """Return the first result of a function that is not empty."""
    deadline = time.monotonic() + SECONDS
    while time.monotonic() < deadline:
        found = look()
        if found:
            return found
        time.sleep(0.01)
    raise AssertionError("it did not come about")


class Compiler:
    """A JVM that compiles folders of sources, one after the other."""

    def __init__(self, folder: Path) -> None:
        (folder / "Compiler.java").write_text(COMPILER)
        self._folder = folder
        self._count = 0
        self._process = subprocess.Popen(
            ["java", str(folder / "Compiler.java")],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def __call__(self, sources: dict[str, str]) -> Path:
        """Return the folder of classes of the package `shop`, compiled together with Build."""
        self._count += 1
        source, classes = (self._folder / f"{one}{self._count}" for one in ("source", "classes"))
        source.mkdir()
        for name in ("Build", "AtStart"):
            shutil.copy(COMMON / f"{name}.java", source)
        for name, text in sources.items():
            (source / f"{name}.java").write_text(text)
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(f"{source}\t{classes}\n")
        self._process.stdin.flush()
        assert self._process.stdout.readline() == "0\n", "javac has failed, see stderr"
        return classes

    def end(self) -> None:
        self._process.communicate(timeout=SECONDS)


class Talk:
    """One open connection to the shop."""

    def __init__(self, port: int) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port), timeout=SECONDS)
        self._lines = self._socket.makefile("r")

    def __call__(self, word: str) -> str:
        self._socket.sendall(f"{word}\n".encode())
        return self._lines.readline().rstrip("\n")

    def close(self) -> None:
        self._lines.close()
        self._socket.close()


class Shop:
    """The shop in a JVM of its own, which accepts a debugger and shows build FIRST."""

    def __init__(self, classes: Path, log: Path, *words: str) -> None:
        self.classes = classes
        self._log = log
        # A port chosen by the JVM changes after each debugger.
        self.debug_port = free_port()
        agent = "-agentlib:jdwp=transport=dt_socket,server=y,suspend=n,quiet=y"
        agent += f",address=127.0.0.1:{self.debug_port}"
        java = ["java", "-Xshare:auto", "-XX:TieredStopAtLevel=1", agent, "-cp", str(classes)]
        with log.open("wb") as output:
            self.process = subprocess.Popen(
                [*java, "shop.Main", *words],
                stdout=output,
                env=os.environ | {"HASHLAB_BUILD": FIRST},
            )
        try:
            self.talk_port = self._printed_number("shop: ")
            self.talk = Talk(self.talk_port)
        except BaseException:
            self._end()
            raise

    def _printed_number(self, before: str) -> int:
        """Return the number after a text in the output of the JVM."""

        def look() -> str | None:
            assert self.process.poll() is None, self._log.read_text()
            lines = self._log.read_text().splitlines(keepends=True)
            printed = [line for line in lines if before in line and line.endswith("\n")]
            return printed[0].partition(before)[2] if printed else None

        return int(until(look))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.talk.close()
        self._end()

    def _end(self) -> None:
        self.process.kill()
        self.process.wait()


def order(classes: Path, *names: str, build: str = SECOND) -> dict[str, Any]:
    """Return hashlab's input for some classes of the shop."""
    files = {
        f"/app/classes/shop/{name}.class": str(classes / "shop" / f"{name}.class") for name in names
    }
    return {"service": "shop", "build": build, "files": files}


def run(
    *words: str, given: str, environ: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """Run the tool once."""
    return subprocess.run(
        [sys.executable, str(TOOLS / "hotswap.py"), *words],
        input=given,
        env={**os.environ, **(environ or {})},
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )


def ask(port: int, word: str, what: dict[str, Any]) -> dict[str, Any]:
    """Return the tool's answer; it must end with exit code 0 and print nothing to stderr."""
    ran = run(f"127.0.0.1:{port}", word, given=json.dumps(what))
    assert (ran.returncode, ran.stderr) == (0, "")
    answer: dict[str, Any] = json.loads(ran.stdout)
    return answer


def swap(port: int, what: dict[str, Any]) -> dict[str, Any]:
    return ask(port, "swap", what)


def prove(port: int, what: dict[str, Any]) -> dict[str, str]:
    stale: dict[str, str] = ask(port, "prove", what)["stale"]
    return stale
