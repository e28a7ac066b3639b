"""The example's hot-swap tool against a real JVM on 127.0.0.1, with small classes compiled here."""

from __future__ import annotations

import selectors
import shutil
import socket
import sys
import threading
from collections.abc import Callable, Iterator
from importlib import import_module
from pathlib import Path
from types import ModuleType

import pytest
from hotswap_bench import (
    FIRST,
    LATE,
    RELAY,
    SECOND,
    SECONDS,
    SHOP,
    SOURCES,
    TILL,
    TOOLS,
    Compiler,
    Shop,
    Talk,
    many,
    order,
    prove,
    run,
    swap,
    until,
)

MODULES = (
    "octets",
    "classfile",
    "bytecode",
    "debugport",
    "jdwp",
    "running",
    "differences",
    "hotswap",
)
REDEFINE = bytes((0, 1, 18))  # flags, command set, command
Edit = Callable[..., Path]

pytestmark = pytest.mark.skipif(
    shutil.which("javac") is None or shutil.which("java") is None, reason="no JDK here"
)


@pytest.fixture(scope="module")
def compiler(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Compiler]:
    made = Compiler(tmp_path_factory.mktemp("compiler"))
    yield made
    made.end()


@pytest.fixture(scope="module")
def classes(compiler: Compiler) -> Path:
    return compiler(SOURCES)


@pytest.fixture
def shop(classes: Path, tmp_path: Path) -> Iterator[Shop]:
    with Shop(classes, tmp_path / "log") as made:
        yield made


@pytest.fixture
def edit(compiler: Compiler) -> Edit:
    """Return the classes of the sources after texts of one of them were replaced."""

    def edited(old: str, new: str, source: str = SHOP, name: str = "Shop") -> Path:
        assert source.count(old) == 1
        return compiler(SOURCES | {name: source.replace(old, new)})

    return edited


@pytest.fixture
def jdwp(monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    """Speak the tool's protocol as another debugger."""
    monkeypatch.syspath_prepend(str(TOOLS))
    yield import_module("jdwp")
    for name in MODULES:
        sys.modules.pop(name, None)


# Accepted changes


def test_a_changed_body_is_swapped_and_memory_threads_and_connections_stay(
    shop: Shop, edit: Edit
) -> None:
    other = Talk(shop.talk_port)
    assert [shop.talk("visit"), other("visit")] == ["visit 1", "visit 2"]
    new = edit('return "1 coin";', 'int two = 2; return two + " coins";')
    assert swap(shop.debug_port, order(new, "Shop")) == {"taken": True, "detail": "1 class"}
    assert shop.talk("price") == "2 coins"
    assert [other("visit"), shop.talk("visit")] == ["visit 3", "visit 4"]
    assert prove(shop.debug_port, order(new, "Shop")) == {}
    other.close()


def test_the_process_shows_its_new_build_id_when_checked(shop: Shop, edit: Edit) -> None:
    new = edit("1 coin", "2 coins")
    assert shop.talk("build") == FIRST
    assert prove(shop.debug_port, order(shop.classes, "Shop", build=FIRST)) == {}
    assert swap(shop.debug_port, order(new, "Shop"))["taken"]
    assert shop.talk("build") == SECOND
    stale = prove(shop.debug_port, order(new, "Shop", build="000000000003"))
    assert stale == {
        "/app/classes/shop/Shop.class": f"the running process says it is build {SECOND}"
    }


@pytest.mark.parametrize(
    ("old", "new", "where"),
    [
        ('"1 coin"', '"2 coins"', "has other code of price()"),
        ("visits++", "visits += 2", "has other code of visit()"),
        ("visits++", "visits--", "has other code of visit()"),
        ('"Hello " +', '"Good day " +', "has other code of greet(String)"),
        ("name = Shop::price", "name = Shop::visit", "has other code of named(String)"),
        ("(InterruptedException end) { return; }", "(Throwable end) { return; }", "Throwable"),
        ("static int visits;", "static int visits, stock;", "it adds the field stock (int)"),
    ],
)
def test_code_that_the_process_does_not_run_is_detected(
    shop: Shop, edit: Edit, old: str, new: str, where: str
) -> None:
    stale = prove(shop.debug_port, order(edit(old, new), "Shop", build=FIRST))
    assert list(stale) == ["/app/classes/shop/Shop.class"]
    assert where in stale["/app/classes/shop/Shop.class"]


def test_a_replaced_text_is_detected_although_the_jvm_still_has_it(shop: Shop, edit: Edit) -> None:
    """Its old constants remain, and the JVM does not report which of them a concatenation uses."""
    new = edit('"Hello " +', '"Good day " +')
    assert swap(shop.debug_port, order(new, "Shop"))["taken"]
    assert shop.talk("greet") == "Good day Ada"
    stale = prove(shop.debug_port, order(shop.classes, "Shop"))
    assert stale == {"/app/classes/shop/Shop.class": "what was swapped in last is another file"}
    assert swap(shop.debug_port, order(shop.classes, "Shop"))["taken"]
    assert shop.talk("greet") == "Hello Ada"
    assert prove(shop.debug_port, order(shop.classes, "Shop")) == {}


def test_renumbered_constants_and_longer_jumps_are_the_same_code(
    shop: Shop, compiler: Compiler, jdwp: ModuleType
) -> None:
    assert shop.talk("many") == "10"
    rewritten = []
    for word, count in (("bb", 20), ("ccc", 300), ("dddd", 30), ("a", 20)):
        new = compiler(SOURCES | {"Many": many(word, count)})
        assert prove(shop.debug_port, order(new, "Many", build=shop.talk("build")))
        assert swap(shop.debug_port, order(new, "Many"))["taken"]
        assert prove(shop.debug_port, order(new, "Many")) == {}
        assert shop.talk("many") == str(4 * len(word) + 6)
        file = (new / "shop" / "Many.class").read_bytes()
        rewritten.append(code_of_many(shop.debug_port, jdwp) not in file)
    assert rewritten == [True, True, True, False]  # the last one finds all of its first constants


def code_of_many(port: int, jdwp: ModuleType) -> bytes:
    """Return the bytes of Many.count in the running process."""
    connection = jdwp.Connection(jdwp.Port("127.0.0.1", port), 1.0)
    process = import_module("running").Process(connection)
    (many,) = process.read(process.loaded(["shop.Many"])["shop.Many"])
    connection.end()
    code: bytes = many.methods["count", "(I)I"].code
    return code


def test_a_class_that_is_not_loaded_yet_needs_nothing(
    classes: Path, edit: Edit, tmp_path: Path
) -> None:
    new = edit("late 1", "late 2", LATE, "Late")
    mounted = shutil.copytree(classes, tmp_path / "app")
    with Shop(mounted, tmp_path / "log") as shop:
        shutil.copy(new / "shop" / "Late.class", mounted / "shop")
        answer = swap(shop.debug_port, order(new, "Late"))
        assert answer == {"taken": True, "detail": "1 class not loaded yet"}
        assert prove(shop.debug_port, order(new, "Late")) == {}
        assert shop.talk("late") == "late 2"
        assert prove(shop.debug_port, order(new, "Late")) == {}


# Refused changes


@pytest.mark.parametrize(
    ("old", "new", "why"),
    [
        (
            "static String price()",
            "void foo(String one, int[] two) {} static String price()",
            "it adds the method foo(String, int[])",
        ),
        ("static void routes() {", "static void other() {", "it removes the method routes()"),
        ("static int visits;", "static int visits, stock;", "it adds the field stock (int)"),
        ("static int visits;", "static long visits;", "it removes the field visits (int)"),
        (
            "static String price() {",
            "static String price() { Runnable run = () -> {};",
            "it adds a lambda in price(), of which the compiler makes a method",
        ),
        ("static String price()", "public static String price()", "modifiers of the method price"),
        ("class Shop {", "class Shop implements Cloneable {", "it implements java.lang.Cloneable"),
        ("class Shop {", "class Shop extends Thread {", "it extends java.lang.Thread"),
        ("public class Shop {", "public final class Shop {", "its modifiers"),
        ("DOOR = new Object()", 'DOOR = "door"', "it changes what static fields begin as"),
        ('this.sign = "open"', 'this.sign = "closed"', "and 1 object is there already"),
        ('getProperty("first")', 'getProperty("second")', "routes() runs only at the start"),
        (
            'one = () -> "one", two = () -> "two"; return one',
            'two = () -> "two", one = () -> "one"; return one',
            "its lambdas have changed places",
        ),
    ],
)
def test_a_change_that_cannot_be_swapped_is_named(
    shop: Shop, edit: Edit, old: str, new: str, why: str
) -> None:
    answer = swap(shop.debug_port, order(edit(old, new), "Shop"))
    assert not answer["taken"]
    assert "shop.Shop: " in answer["why"]
    assert why in answer["why"]
    assert [shop.talk("build"), shop.talk("price")] == [FIRST, "1 coin"]


def test_if_one_of_two_classes_cannot_be_swapped_neither_is(shop: Shop, compiler: Compiler) -> None:
    assert [shop.talk("price"), shop.talk("till")] == ["1 coin", "till 1"]
    prices = SHOP.replace("1 coin", "2 coins")
    tills = TILL.replace("int coins = 1;", "int coins = 1; int x;")
    new = compiler(SOURCES | {"Shop": prices, "Till": tills})
    answer = swap(shop.debug_port, order(new, "Shop", "Till"))
    assert answer == {"taken": False, "why": "shop.Till: it adds the field x (int)"}
    assert [shop.talk("price"), shop.talk("till")] == ["1 coin", "till 1"]
    new = compiler(SOURCES | {"Shop": prices, "Till": TILL.replace("till 1", "till 2")})
    assert swap(shop.debug_port, order(new, "Shop", "Till"))["detail"] == "2 classes"
    assert [shop.talk("price"), shop.talk("till")] == ["2 coins", "till 2"]


def test_a_running_method_that_does_not_return_is_not_swapped(shop: Shop, edit: Edit) -> None:
    new = edit("DOOR.wait();", "DOOR.wait(0);")
    assert shop.talk("work") == "started"
    answer = swap(shop.debug_port, order(new, "Shop"))
    assert answer == {
        "taken": False,
        "why": "shop.Shop: loop() is at work in the thread looper and would keep its old code"
        " until it returns",
    }
    other = edit("1 coin", "2 coins")
    assert swap(shop.debug_port, order(other, "Shop"))["taken"]


def test_a_method_that_always_runs_but_returns_is_swapped(shop: Shop, edit: Edit) -> None:
    assert shop.talk("relay") == "begun"
    new = edit("Thread.sleep(5)", "Thread.sleep(6)", RELAY, "Relay")
    assert swap(shop.debug_port, order(new, "Relay"))["taken"]
    assert prove(shop.debug_port, order(new, "Relay")) == {}


def test_a_file_that_is_not_a_class_file_is_not_swapped(shop: Shop, tmp_path: Path) -> None:
    whole = (shop.classes / "shop" / "Shop.class").read_bytes()
    (tmp_path / "shop").mkdir()
    broken = tmp_path / "shop" / "Shop.class"
    broken.write_bytes(whole[:300])
    answer = swap(shop.debug_port, order(tmp_path, "Shop"))
    assert "/app/classes/shop/Shop.class: it is no whole class file" in answer["why"]
    broken.write_bytes(whole[:6] + bytes((0, 99)) + whole[8:])
    answer = swap(shop.debug_port, order(tmp_path, "Shop"))
    assert answer["why"] == "shop.Shop: it was compiled for a newer Java than the one that runs"
    asked = order(tmp_path, "Shop")
    asked["files"] = {"/app/classes/db/V2.sql": str(broken)}
    assert "/app/classes/db/V2.sql: it is no class file" in swap(shop.debug_port, asked)["why"]


def test_a_process_that_does_not_know_its_build_id_yet_is_left_alone(
    classes: Path, tmp_path: Path, edit: Edit
) -> None:
    new = edit("1 coin", "2 coins")
    with Shop(classes, tmp_path / "log", "early") as shop:
        answer = swap(shop.debug_port, order(new, "Shop"))
        assert not answer["taken"]
        assert "has not come far enough in its start" in answer["why"]
        assert shop.talk("price") == "1 coin"


def test_initial_values_of_fields_are_swapped_if_there_is_no_object_yet(
    shop: Shop, edit: Edit
) -> None:
    assert [shop.talk("till"), shop.talk("late")] == ["till 1", "late 1"]
    final = edit("int coins = 1", "int coins = 2", TILL, "Till")
    assert swap(shop.debug_port, order(final, "Till"))["taken"]
    assert prove(shop.debug_port, order(final, "Till")) == {}
    answer = swap(shop.debug_port, order(edit("coins = 1", "coins = 2", LATE, "Late"), "Late"))
    assert not answer["taken"]
    assert "objects of its subclasses may be there already" in answer["why"]


# Other debuggers, and no debugger


def test_a_debugger_that_is_attached_keeps_the_tool_out_and_the_next_one_gets_in(
    shop: Shop, edit: Edit, jdwp: ModuleType
) -> None:
    new = edit("1 coin", "2 coins")
    ide = jdwp.Connection(jdwp.Port("127.0.0.1", shop.debug_port), 1.0)
    answer = swap(shop.debug_port, order(new, "Shop"))
    assert not answer["taken"]
    assert "the IDE" in answer["why"]
    assert "JRE_VARIANT" in answer["why"]
    stale = prove(shop.debug_port, order(new, "Shop"))
    assert stale == {"/app/classes/shop/Shop.class": answer["why"]}
    ide.end()
    assert swap(shop.debug_port, order(new, "Shop"))["taken"]
    jdwp.Connection(jdwp.Port("127.0.0.1", shop.debug_port), 1.0).end()
    assert prove(shop.debug_port, order(new, "Shop")) == {}


@pytest.mark.parametrize("hangs_up", [False, True])
def test_a_port_without_a_debugger_gives_a_next_step(classes: Path, hangs_up: bool) -> None:
    """The near end of a machine's forwarded port accepts connections anyway."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        if hangs_up:
            threading.Thread(target=hang_up, args=(server,), daemon=True).start()
        else:
            server.close()
        answer = swap(port, order(classes, "Shop"))
        assert not answer["taken"]
        assert "start the lab without JRE_VARIANT" in answer["why"]
        assert list(prove(port, order(classes, "Shop")).values()) == [answer["why"]]


def hang_up(server: socket.socket) -> None:
    """End every connection at once, until the server is closed."""
    while True:
        try:
            server.accept()[0].close()
        except OSError:
            return


def test_a_port_that_is_silent_is_given_up(
    jdwp: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(jdwp, "CONNECT_SECONDS", 0.05)
    silent = socket.create_server(("127.0.0.1", 0))
    with silent, pytest.raises(jdwp.Unreachable, match="answers like a JVM"):
        jdwp.Connection(jdwp.Port("127.0.0.1", silent.getsockname()[1]), 1.0)


def test_a_tool_that_dies_while_threads_are_suspended_leaves_none_suspended(
    shop: Shop, jdwp: ModuleType
) -> None:
    connection = jdwp.Connection(jdwp.Port("127.0.0.1", shop.debug_port), 1.0)
    connection.one(jdwp.SUSPEND)
    connection._socket.close()
    assert shop.talk("price") == "1 coin"
    assert prove(shop.debug_port, order(shop.classes, "Shop", build=FIRST)) == {}


class Between(threading.Thread):
    """Forwards one connection to a JVM, and kills the JVM when new code is sent."""

    def __init__(self, shop: Shop) -> None:
        super().__init__(daemon=True)
        self._shop = shop
        self._server = socket.create_server(("127.0.0.1", 0))
        self.port = self._server.getsockname()[1]
        self.killed = False

    def run(self) -> None:
        near, _ = self._server.accept()
        self._server.close()
        far = socket.create_connection(("127.0.0.1", self._shop.debug_port), timeout=SECONDS)
        with near, far, selectors.DefaultSelector() as either:
            either.register(near, selectors.EVENT_READ, far)
            either.register(far, selectors.EVENT_READ, near)
            while not self.killed:
                for key, _ in either.select():
                    assert isinstance(key.fileobj, socket.socket)
                    self._pass(key.fileobj.recv(1 << 16), key.data)

    def _pass(self, received: bytes, onward: socket.socket) -> None:
        if received[8:11] == REDEFINE:
            self._shop.process.kill()
            self._shop.process.wait()
            self.killed = True
        else:
            onward.sendall(received)


def test_a_jvm_that_is_killed_midway_has_swapped_nothing(shop: Shop, edit: Edit) -> None:
    between = Between(shop)
    between.start()
    answer = swap(between.port, order(edit("1 coin", "2 coins"), "Shop"))
    between.join(SECONDS)
    assert between.killed
    assert not answer["taken"]
    assert "connection" in answer["why"]


def test_an_unparsable_call_fails(shop: Shop) -> None:
    place, order = f"127.0.0.1:{shop.debug_port}", '{"build": "", "files": {}}'
    for words, given in (
        (("swap",), order),  # without the variable that hashlab sets
        (("somewhere", "swap"), order),
        ((place, "look"), "{}"),
        ((place, "swap"), "{}"),
    ):
        ran = run(*words, given=given)
        assert (ran.returncode, ran.stdout) == (2, "")
        assert ran.stderr.startswith("hotswap: ")
    assert until(lambda: shop.talk("price")) == "1 coin"
