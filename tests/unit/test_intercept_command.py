"""`hashlab intercept` lets a process on the laptop take the place of a service."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from fakes import Outside, change_service, connected, running, track_of
from fakes.running import go, rows

from hashlab.cli import main
from hashlab.config.model import Attachment, Content, FileMount, Service
from hashlab.errors import ExitCode, LaptopError, UsageError
from hashlab.phases.intercepting import Outbound, inbound, neighbours
from hashlab.phases.status import status_document
from hashlab.phases.upload.machine import Process, write_processes
from hashlab.pipeline import CancelToken
from hashlab.protocols import Completed
from hashlab.run import carrying, handover, intercepting, workflows
from hashlab.run.naming import Naming
from hashlab.state.files import is_folder

Told = pytest.CaptureFixture[str]
PAGE = Path(__file__).parents[2] / "docs/reference/json.md"
PROGRAM = Path(handover.__file__).with_name("enter.sh")


def typed(*words: str) -> int:
    return main.run(*main.parse(["intercept", *words]))


class Connections:
    """Stands for ssh: what the machine's program prints, and how the connection ends."""

    def __init__(self, outside: Outside) -> None:
        self.lines: list[bytes] = [b"#ready\r"]
        self.ends: Completed | None = None
        self.words: list[str] = []
        self.renewed = threading.Event()
        outside.runner.prepare_stream("ssh", streaming=self._stream)

    def _stream(
        self,
        words: Sequence[str],
        on_lines: Callable[[Sequence[bytes]], None],
        cancel: CancelToken,
    ) -> Completed:
        self.words = list(words)
        for line in self.lines:
            on_lines([line])
        if self.ends is not None:
            return self.ends
        cancel.wait(30)
        raise AssertionError("nobody ended the connection")

    def given(self, option: str) -> list[str]:
        """Return the values of an option of ssh."""
        return [self.words[i + 1] for i, word in enumerate(self.words) if word == option]

    def arguments(self) -> list[str]:
        """Return the arguments of the machine's program."""
        return shlex.split(self.words[-1])[5:]


class FakeProxy:
    """Stands for the proxy: where it listens, and what it was given."""

    made: list[FakeProxy]

    def __init__(self, names: frozenset[str], lab: Path) -> None:
        self.names, self.lab, self.ended = names, lab, False
        self.made.append(self)

    def start(self) -> int:
        return 40123

    def end(self) -> None:
        self.ended = True


@pytest.fixture(autouse=True)
def proxies(monkeypatch: pytest.MonkeyPatch) -> list[FakeProxy]:
    """The proxies that were made."""
    monkeypatch.setattr(FakeProxy, "made", [], raising=False)
    monkeypatch.setattr(intercepting, "Proxy", FakeProxy)
    return FakeProxy.made


@pytest.fixture
def ssh(outside: Outside, monkeypatch: pytest.MonkeyPatch) -> Connections:
    monkeypatch.setattr("hashlab.run.execution.Options.world", lambda options: outside.world())
    monkeypatch.setattr(carrying, "RENEW_SECONDS", 0.01)
    outside.runner.prepare("unshare", code=1, stderr="not permitted\n")
    outside.lab = change_service(outside.lab, "site", replicas=1)
    running(outside)
    outside.machines["broker"].listening["small-queue-1"] = [5672, 15672]
    outside.machines["web"].listening["small-site-1"] = [9080]
    return Connections(outside)


def script(tmp_path: Path, text: str) -> list[str]:
    """Return a command that runs this Python."""
    path = tmp_path / "service.py"
    path.write_text(text)
    return [sys.executable, str(path)]


def test_the_command_takes_the_place_and_its_exit_code_is_ours(
    ssh: Connections, tmp_path: Path, capfd: Told
) -> None:
    command = script(tmp_path, "import sys; print('here'); sys.exit(7)")
    assert typed("site", "--", *command) == 7
    told = capfd.readouterr()
    assert told.out == "here\n"
    assert "site:9080 of the lab → 127.0.0.1:9080\n" in told.err
    [forward] = ssh.given("-R")
    assert re.fullmatch(r"/tmp/hashlab-[0-9a-f]{16}-9080:127\.0\.0\.1:9080", forward)
    record, _, since, containers, networks, replicas, _, _, _, *ports = ssh.arguments()
    assert replicas == ""
    assert record == "/run/hashlab/intercepts/small/site"
    assert since.isdecimal()
    assert (containers, networks) == ("small-site-1", "small-site-1.sandbox")
    assert ports[:2] == ["in", "9080"]
    assert ["out", "queue", "5672"] in [ports[i : i + 3] for i in range(0, len(ports), 3)]


def test_each_port_of_the_others_has_an_address_of_the_laptop(ssh: Connections) -> None:
    typed("site", "--", "true")
    *reached, every = ssh.given("-L")
    assert [each.rpartition("/")[2] for each in reached] == ["1", "2"]
    assert every.endswith("/any")
    assert [each.split(":")[1] for each in reached] == ["5672", "15672"]
    assert len({each.split(":")[0] for each in reached}) == 1
    assert all(each.startswith("127.65.") for each in reached)


def test_variables_secrets_and_files_are_handed_over_and_gone_afterwards(
    ssh: Connections, outside: Outside, tmp_path: Path, capfd: Told
) -> None:
    token = FileMount("token", Content("s3cret"), "/run/secrets/token", secret=True)
    outside.lab = change_service(
        outside.lab,
        "site",
        environment=(("TOKEN_FILE", "/run/secrets/token"), ("PAGES", "/static/style"), ("A", "b")),
        files=(token,),
    )
    command = script(
        tmp_path,
        "import os, stat\n"
        "path = os.environ['TOKEN_FILE']\n"
        "print(open(path).read(), oct(stat.S_IMODE(os.stat(path).st_mode)))\n"
        "print(os.environ['PAGES'], os.environ['A'], os.environ['HASHLAB_SECRETS'] in path)\n"
        "print(os.environ['JAVA_TOOL_OPTIONS'])\n",
    )
    assert typed("site", "--", *command) == 0
    told = capfd.readouterr()
    folder = outside.lab.folder
    first, second, third = told.out.splitlines()
    assert first == "s3cret 0o600"
    assert second == f"{folder}/static/style b True"
    assert third == f"-Djdk.net.hosts.file={folder}/.hashlab/docker/intercepts/site/hosts"
    assert "s3cret" not in told.err
    assert f"/static: {folder}/static\n" in told.err
    assert not is_folder(folder / ".hashlab/docker/intercepts/site")


def test_where_namespaces_are_refused_a_proxy_stands_in_and_it_says_what_to_allow(
    ssh: Connections, proxies: list[FakeProxy], tmp_path: Path, capfd: Told
) -> None:
    command = script(
        tmp_path, "import os; print(os.environ['http_proxy'], os.environ['ALL_PROXY'])"
    )
    assert typed("site", "--", *command) == 0
    told = capfd.readouterr()
    assert told.out == "http://127.0.0.1:40123 socks5h://127.0.0.1:40123\n"
    assert "only JVMs, and programs that use a proxy: not permitted" in told.err
    assert "sysctl kernel.apparmor_restrict_unprivileged_userns=0" in told.err
    assert "names, mode socks: by the proxy socks5h://127.0.0.1:40123" in told.err
    assert "other users of this laptop can connect" in told.err
    [proxy] = proxies
    assert {"queue", "site", "small-queue-1"} <= proxy.names
    assert f"{proxy.lab}:" in ssh.given("-L")[-1]
    assert proxy.ended


def test_a_proxy_that_was_asked_for_needs_no_addresses(
    ssh: Connections, tmp_path: Path, capfd: Told
) -> None:
    command = script(tmp_path, "import os; print(os.environ['JAVA_TOOL_OPTIONS'])")
    assert typed("site", "--mode", "socks", "--", *command) == 0
    told = capfd.readouterr()
    assert told.out == "-DsocksProxyHost=127.0.0.1 -DsocksProxyPort=40123\n"
    assert [each.rpartition("/")[2] for each in ssh.given("-L")] == ["any"]
    assert "sysctl" not in told.err


def test_jvms_alone_get_no_proxy_if_that_was_asked_for(
    ssh: Connections, proxies: list[FakeProxy], capfd: Told
) -> None:
    assert typed("site", "--mode", "jvm", "--", "true") == 0
    assert "names, mode jvm: for JVMs by -Djdk.net.hosts.file=" in capfd.readouterr().err
    assert proxies == []


def test_a_namespace_that_was_asked_for_and_is_refused_ends_the_command(
    ssh: Connections, capfd: Told
) -> None:
    assert typed("site", "--mode", "namespace", "--", "true") == ExitCode.LAPTOP
    told = capfd.readouterr().err
    assert "no namespace for commands: not permitted" in told
    assert "sysctl" in told
    assert ssh.words == []


def test_one_replica_is_taken_and_the_others_go_on(
    ssh: Connections, outside: Outside, capfd: Told
) -> None:
    outside.lab = change_service(outside.lab, "site", replicas=2)
    go(outside, workflows.REFRESH)
    assert typed("site", "--replica", "2", "--", "true") == 0
    assert ssh.arguments()[3:6] == ["small-site-2", "small-site-2.sandbox", "small-site-2"]
    assert typed("site", "--replica", "3", "--", "true") == ExitCode.CONFIG
    told = capfd.readouterr().err
    assert "service site has no replica 3" in told and "numbered from 1 to 2" in told
    assert typed("site", "--replica", "first", "--", "true") == ExitCode.CONFIG
    assert "'first' is not the number of a replica" in capfd.readouterr().err


def test_a_service_on_several_machines_is_taken_on_each(
    ssh: Connections, outside: Outside, capfd: Told
) -> None:
    [site] = [service for service in outside.lab.services if service.name == "site"]
    copies = [
        replace(site, name=f"site.{machine}", machine=machine, copy_of="site")
        for machine in ("web", "broker")
    ]
    others = [service for service in outside.lab.services if service is not site]
    outside.lab = replace(outside.lab, services=(*others, *copies))
    go(outside, workflows.REFRESH)
    outside.machines["broker"].listening["small-site.broker-1"] = [9080]
    assert typed("site", "--json", "--", "true") == 0
    told = json.loads(capfd.readouterr().out)
    assert told["containers"] == ["small-site.web-1", "small-site.broker-1"]
    assert (told["service"], told["machine"]) == ("site", "web")
    assert {each["name"] for each in told["reached"]} == {"queue"}

    connections = [c for c in outside.faults.calls if c.name == "runner.stream.ssh"]
    machines = [c.words[c.words.index("--") + 1] for c in connections]
    assert sorted(machines) == ["broker", "web"]


def test_another_port_of_the_laptop(ssh: Connections, outside: Outside, capfd: Told) -> None:
    outside.ports_in_use.add(9080)
    assert typed("site", "--", "true") == ExitCode.CONFIG
    assert "hashlab intercept site --port 9080=LAPTOPPORT" in capfd.readouterr().err
    assert ssh.words == []
    assert typed("site", "--port", "9080=9090", "--", "true") == 0
    assert ssh.given("-R")[0].endswith(":127.0.0.1:9090")


def test_a_second_person_is_told_who_has_it(ssh: Connections, capfd: Told) -> None:
    ssh.lines, ssh.ends = [b"#held anna@laptop 0\r"], Completed(1, "", "")
    assert typed("site", "--", "true") == ExitCode.LOCKED
    assert "intercepted by anna@laptop since " in capfd.readouterr().err


def test_a_service_that_cannot_be_taken_is_reported(ssh: Connections, capfd: Told) -> None:
    ssh.lines = [b"#failed listens 12 9080\r"]
    ssh.ends = Completed(1, "", "")
    assert typed("site", "--", "true") == ExitCode.LAB
    assert "not ready: listens 12 9080" in capfd.readouterr().err


def test_the_lost_connection_ends_the_command(
    ssh: Connections, tmp_path: Path, capfd: Told
) -> None:
    ssh.ends = Completed(
        255, "", "connect_to 127.0.0.1 port 9080: failed.\nConnection closed by remote host\nmore"
    )
    command = script(tmp_path, "import time; time.sleep(60)")
    assert typed("site", "--", *command) == ExitCode.LAB
    assert "the intercept ended: Connection closed by remote host" in capfd.readouterr().err


def test_a_command_that_does_not_exist_takes_nothing(ssh: Connections, capfd: Told) -> None:
    assert typed("site", "--", "no-such-program") == ExitCode.CONFIG
    assert "program 'no-such-program' was not found" in capfd.readouterr().err
    assert ssh.words == []


def test_the_lease_is_renewed_while_the_command_runs(
    ssh: Connections, outside: Outside, tmp_path: Path
) -> None:
    assert typed("site", "--", *script(tmp_path, "import time; time.sleep(0.3)")) == 0
    renewals = [call for call in outside.faults.calls if call.name == "shell.renew"]
    assert len(renewals) > 3
    assert renewals[0].words[-1] == "/run/hashlab/intercepts/small/site"


def test_json_is_one_document_whose_fields_are_explained(ssh: Connections, capfd: Told) -> None:
    assert typed("site", "--json", "--", "true") == 0
    real = json.loads(capfd.readouterr().out)
    page = PAGE.read_text(encoding="utf-8")
    examples = map(json.loads, re.findall(r"```json\n(.*?)```", page, re.DOTALL))
    told = next(each for each in examples if list(each) == list(real))
    names = [*told, *(f"ports[].{key}" for key in told["ports"][0])]
    names += [f"reached[].{key}" for key in told["reached"][0]]
    assert [name for name in names if f"| `{name}` |" not in page] == []


def test_a_process_that_took_files_in_is_replaced_first(ssh: Connections, outside: Outside) -> None:
    assert typed("site", "--", "true") == 0
    machine = outside.machines["web"]
    before = machine.engine.by_name("small-site-1")
    record = Process("then", "b1", "f", {}, reloaded=("/app/main.bin",))
    write_processes(connected(outside).link("web").shell, outside.lab, "web", {before.id: record})
    (outside.lab.folder / "src/main.txt").write_text("what it took in\n")
    outside.faults.calls.clear()
    assert typed("site", "--", "true") == 0
    assert machine.engine.by_name("small-site-1") is not before
    names = outside.faults.names()
    assert names.index("engine.create") < names.index("runner.stream.ssh")
    assert typed("site", "--", "true") == 0
    assert machine.engine.by_name("small-site-1").state == "running"


@pytest.mark.parametrize("word", ["http", "0", "80=", "80=70000", "-1"])
def test_a_port_that_is_not_one_is_refused(word: str) -> None:
    with pytest.raises(UsageError):
        inbound([word])


def test_only_services_on_a_shared_network_are_reached_by_all_their_names(outside: Outside) -> None:
    def on(name: str, *networks: Attachment, **more: object) -> Service:
        return Service(name, "web", "x", networks=networks, **more)  # type: ignore[arg-type]

    front, back = Attachment("front"), Attachment("back")
    lab = replace(
        outside.lab,
        services=(
            on("api", front),
            on("db", back),
            on("cache", replace(front, aliases=("redis",)), expose=("6379", "53/udp")),
        ),
    )
    found = neighbours(lab, lab.services[0], {"db": [5432], "cache": [6379, 16379]}, block=3)
    assert [(each.name, each.port) for each in found] == [
        ("cache", 6379),
        ("cache", 16379),
        ("redis", 6379),
        ("redis", 16379),
    ]
    assert [each.address for each in found] == ["127.65.3.17"] * 2 + ["127.65.3.18"] * 2


def test_a_name_that_copies_share_has_one_address(outside: Outside) -> None:
    def on(name: str, family: str = "") -> Service:
        return Service(name, "web", "x", networks=(Attachment("net"),), copy_of=family)

    services = (on("api"), on("db.web", "db"), on("db.broker", "db"))
    lab = replace(outside.lab, services=services)
    found = neighbours(lab, services[0], {"db.web": [5432], "db.broker": [5432]}, block=3)
    assert sorted(each.name for each in found) == ["db", "db.broker", "db.web"]
    assert len({each.address for each in found}) == 3


# Other runs meanwhile


def test_a_run_leaves_an_intercepted_service_alone_and_status_shows_it(
    ssh: Connections, outside: Outside
) -> None:
    machine = outside.machines["web"]
    machine.engine.stop("small-site-1", timeout=1)
    machine.intercepts["site"] = ":anna@laptop 1795956868"
    outside.faults.calls.clear()
    result = go(outside, workflows.REFRESH)
    [row] = [row for row in rows(result, "container") if row.service == "site"]
    assert (row.status, row.detail) == ("skipped", "intercepted by anna@laptop")
    assert rows(result, "proof")[0].detail.endswith("; intercepted: site")
    assert machine.engine.by_name("small-site-1").state == "exited"
    world = outside.world()
    with track_of() as track:
        shown = next(s for s in status_document(world, track).services if s.name == "site")
    assert (shown.state, shown.holder, shown.since) == ("intercepted", "anna@laptop", 1795956868.0)
    assert (shown.problem, shown.stale) == (None, None)
    machine.intercepts.clear()
    go(outside, workflows.REFRESH)
    assert machine.engine.by_name("small-site-1").state == "running"


def test_a_run_replaces_the_replicas_beside_an_intercepted_one(
    ssh: Connections, outside: Outside
) -> None:
    outside.lab = change_service(outside.lab, "site", replicas=2)
    go(outside, workflows.REFRESH)
    machine = outside.machines["web"]
    before = {name: machine.engine.by_name(name).id for name in ("small-site-1", "small-site-2")}
    machine.engine.stop("small-site-1", timeout=1)
    machine.intercepts["site"] = "small-site-1:anna@laptop 1795956868"
    outside.lab = change_service(outside.lab, "site", environment=(("GREETING", "hi"),))
    result = go(outside, workflows.REFRESH)
    [row] = [row for row in rows(result, "container") if row.service == "site"]
    assert row.status == "ok"
    assert machine.engine.by_name("small-site-1").id == before["small-site-1"]
    assert machine.engine.by_name("small-site-1").state == "exited"
    assert machine.engine.by_name("small-site-2").id != before["small-site-2"]
    with track_of() as track:
        shown = [s for s in status_document(outside.world(), track).services if s.name == "site"]
    assert [(s.state, s.last_exit) for s in shown] == [("intercepted", None), ("running", None)]


# The laptop's side


def test_the_hosts_file_puts_the_labs_names_before_the_laptops(tmp_path: Path) -> None:
    service = Service("api", "web", "x")
    reached = [Outbound("db", 5432, "127.65.1.1"), Outbound("db", 5433, "127.65.1.1")]
    done = handover.hand_over(tmp_path / "given", service, reached, Naming("namespace"))
    first, second, *rest = done.hosts.read_text().splitlines()
    assert (first, second) == ("127.65.1.1 db", "127.0.0.1 api")
    assert (
        rest[: len(Path("/etc/hosts").read_text().splitlines())]
        == Path("/etc/hosts").read_text().splitlines()
    )


def has_namespaces() -> bool:
    if shutil.which("unshare") is None:
        return False
    probe = ["unshare", "--user", "--map-root-user", "--mount", "true"]
    return subprocess.run(probe, capture_output=True, check=False).returncode == 0


@pytest.mark.skipif(not has_namespaces(), reason="no user namespaces here")
def test_a_command_that_enters_finds_the_names_and_stays_who_it_is(tmp_path: Path) -> None:
    enter = tmp_path / "enter"
    shutil.copy(PROGRAM, enter)
    (tmp_path / "hosts").write_text("127.65.1.2 postgres.lab.example\n")
    code = "import socket, os; print(socket.gethostbyname('postgres.lab.example'), os.getuid())"
    words = ["sh", str(enter), sys.executable, "-c", code]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert done.stdout == f"127.65.1.2 {os.getuid()}\n", done.stderr
    done = subprocess.run(["sh", str(enter), *("sh", "-c", "exit 3")], text=True, check=False)
    assert done.returncode == 3


def test_a_laptop_without_unshare_uses_the_other_way(
    ssh: Connections, outside: Outside, capfd: Told
) -> None:
    outside.faults.arm("runner.unshare", LaptopError("unshare is not installed"))
    assert typed("site", "--", "true") == 0
    assert "programs that use a proxy: unshare is not installed" in capfd.readouterr().err
