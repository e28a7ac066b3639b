"""Vagrant through python-vagrant; every call goes through one supervised runner."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import vagrant

from hashlab.errors import LabError, LaptopError
from hashlab.pipeline import CancelToken, Track
from hashlab.protocols import Runner
from hashlab.state.files import make_tool_folder

UP_SECONDS = 600.0
DESTROY_SECONDS = 180.0
BOX_SECONDS = 600.0


class _SupervisedVagrant(vagrant.Vagrant):
    """Adds output and a time limit, which python-vagrant lacks, to the two methods through which it
    runs everything.
    """

    def __init__(self, root: Path, runner: Runner, env: dict[str, str]) -> None:
        super().__init__(str(root))  # type: ignore[no-untyped-call]
        self._runner = runner
        self._extra_env = env
        self.cancel = CancelToken()
        self.timeout = UP_SECONDS
        self.on_line: Callable[[str], None] = _ignore

    def _call_vagrant_command(self, args: Sequence[str | None]) -> None:
        self._run_vagrant_command(args)

    def _run_vagrant_command(self, args: Sequence[str | None]) -> str:
        try:
            command = self._make_vagrant_command(args)  # type: ignore[no-untyped-call]
        except RuntimeError:
            raise LaptopError("command not found: vagrant", next_step="hashlab doctor") from None
        done = self._runner.run(
            command,
            cwd=Path(self.root),
            env=self._extra_env,
            timeout=self.timeout,
            cancel=self.cancel,
            on_line=self.on_line,
        )
        if done.code != 0:
            raise LabError(
                f"vagrant {args[0]} failed with exit code {done.code}",
                where=str(self.root),
                output="\n".join(map(readable, (done.stdout + done.stderr).splitlines())),
                next_step="run it again, or start over: hashlab destroy",
            )
        return done.stdout


class VagrantDriver:
    """protocols.Vagrant for the Vagrantfile in ``folder``."""

    def __init__(self, *, folder: Path, provider: str, runner: Runner) -> None:
        self._folder = folder
        self._provider = provider
        self._runner = runner

    def up(self, machines: Sequence[str], *, track: Track) -> None:
        """See protocols.Vagrant."""
        client = self._client(track, UP_SECONDS)
        client.on_line = _BootWatcher(machines, track).line
        # python-vagrant's up() takes one machine and does not support --parallel.
        client._call_vagrant_command(
            ["up", *machines, "--provider", self._provider, "--parallel", "--machine-readable"]
        )

    def destroy(self, *, track: Track) -> None:
        """See protocols.Vagrant."""
        client = self._client(track, DESTROY_SECONDS)
        client._call_vagrant_command(["destroy", "--force", "--parallel"])

    def box_add(self, metadata: Path, *, track: Track) -> None:
        """See protocols.Vagrant. The path is passed as a URI, because Vagrant would decode "%41" in
        a path.
        """
        client = self._client(track, BOX_SECONDS)
        client._call_vagrant_command(
            ["box", "add", metadata.resolve().as_uri(), "--provider", self._provider, "--force"]
        )

    def box_remove(self, name: str, *, version: str, track: Track) -> None:
        """See protocols.Vagrant."""
        client = self._client(track, BOX_SECONDS)
        client._call_vagrant_command(
            [
                *("box", "remove", name, "--force"),
                *("--box-version", version, "--provider", self._provider),
            ]
        )

    def _client(self, track: Track, timeout: float) -> _SupervisedVagrant:
        env = {
            "VAGRANT_DOTFILE_PATH": str(self._folder / "vagrant"),
            "VAGRANT_DEFAULT_PROVIDER": self._provider,
            "VAGRANT_CHECKPOINT_DISABLE": "1",
            "VAGRANT_NO_COLOR": "1",
            # Vagrant runs Docker's client thirty times for each machine. Copying its own process
            # for each call would take half of the total time.
            "CHILDPROCESS_POSIX_SPAWN": "true",
        }
        make_tool_folder(self._folder / "vagrant")
        client = _SupervisedVagrant(self._folder, self._runner, env)
        client.cancel, client.timeout, client.on_line = track.cancel, timeout, track.output
        return client


class _BootWatcher:
    """Counts booted machines from Vagrant's machine-readable lines ``time,machine,kind,data…``."""

    def __init__(self, machines: Sequence[str], track: Track) -> None:
        self._machines = machines
        self._up: set[str] = set()
        self._track = track

    def line(self, text: str) -> None:
        """Process one line of output."""
        fields = text.split(",", 4)
        if fields[2:4] == ["action", "up"] and fields[-1] == "end":
            self._up.add(fields[1])
            self._track.progress(len(self._up), len(self._machines), "machines")
        self._track.output(readable(text))


def readable(line: str) -> str:
    """Return the text for people in a line ``time,machine,ui,kind,text`` of machine-readable
    output.
    """
    fields = line.split(",", 4)
    if len(fields) < 5 or fields[2] not in ("ui", "error-exit"):
        return line
    return fields[4].replace("%!(VAGRANT_COMMA)", ",").replace("\\n", "\n")


def _ignore(_: str) -> None:
    return None
