"""Real tools in an environment that would redirect them."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from pathlib import Path

import pytest
from contract_bench import SOCKET, Bench, real_engine
from fakes import track_of

from hashlab.drivers.engine import local_engine
from hashlab.drivers.process import ProcessRunner
from hashlab.hashing import Digests
from hashlab.inputs.boundary import Boundary
from hashlab.inputs.contexts import read_context
from hashlab.pipeline import CancelToken
from hashlab.protocols import BuildSettings, Completed

NO_PROXY_AT_ALL = "http://127.0.0.1:9"
ELSEWHERE = {
    "DOCKER_CONTEXT": "work",
    "DOCKER_DEFAULT_PLATFORM": "plan9/mips",
    "DOCKER_API_VERSION": "9.99",
    "DOCKER_CERT_PATH": "/nonexistent",
    "VAGRANT_CWD": "/nonexistent",
    "VAGRANT_VAGRANTFILE": "Nofile",
    "VAGRANT_DEFAULT_PROVIDER": "none",
    "RUBYOPT": "-rno-such-library",
    "LC_ALL": "de_DE.UTF-8",
    "HTTP_PROXY": NO_PROXY_AT_ALL,
    "http_proxy": NO_PROXY_AT_ALL,
    "ALL_PROXY": NO_PROXY_AT_ALL,
}


@pytest.fixture
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Such an environment. Its Docker context names the engine that really exists."""
    if os.environ.get("DOCKER_HOST") or not Path(SOCKET).exists():
        pytest.skip(f"the Docker Engine of this laptop is not at {SOCKET}")
    settings = tmp_path / "docker"
    context = settings / "contexts" / "meta" / hashlib.sha256(b"work").hexdigest()
    context.mkdir(parents=True)
    meta = {"Name": "work", "Endpoints": {"docker": {"Host": f"unix://{SOCKET}"}}}
    (context / "meta.json").write_text(json.dumps(meta))
    # Docker Desktop leaves such a setting behind.
    (settings / "config.json").write_text('{"credsStore": "no-such-helper"}')
    monkeypatch.setenv("DOCKER_CONFIG", str(settings))
    for name, value in ELSEWHERE.items():
        monkeypatch.setenv(name, value)


def carried_out(folder: Path, *command: str) -> Completed:
    runner = ProcessRunner(children=folder / "children")
    return runner.run(command, cwd=folder, timeout=60, cancel=CancelToken())


@pytest.mark.usefixtures("elsewhere")
def test_dockers_client_and_hashlab_use_the_same_engine(tmp_path: Path) -> None:
    done = carried_out(tmp_path, "docker", "info", "--format", "{{.ID}}")
    engine = local_engine(os.environ)
    assert done.stdout.strip() == engine.info()["ID"], done.stderr
    engine.close()


@pytest.mark.usefixtures("elsewhere")
def test_an_image_is_built_without_the_credential_helper(tmp_path: Path) -> None:
    (tmp_path / "Dockerfile").write_text("FROM scratch\nLABEL a=1\n")
    bench = Bench(local_engine(os.environ), None)
    name = f"{bench.name('image')}:1"
    try:
        with track_of() as track:
            bench.engine.build_image(
                name,
                context=read_context(
                    tmp_path, tmp_path / "Dockerfile", boundary=Boundary(), digests=Digests()
                ),
                settings=BuildSettings(),
                labels=bench.labels,
                owner=bench.run,
                track=track,
            )
        assert bench.engine.image_labels([name])[name]["a"] == "1"
    finally:
        bench.clean()
        bench.engine.close()


@pytest.mark.usefixtures("elsewhere")
def test_vagrant_reads_the_vagrantfile_where_it_is_started(tmp_path: Path) -> None:
    if shutil.which("vagrant") is None:
        pytest.skip("vagrant is not installed")
    (tmp_path / "Vagrantfile").write_text(
        'puts "this one"\nVagrant.configure("2") { |config| config.vm.box = "none" }\n'
    )
    done = carried_out(tmp_path, "vagrant", "validate", "--ignore-provider")
    assert (done.code, "this one" in done.stdout) == (0, True), done.stderr


def test_a_running_engine_is_found_by_every_name(tmp_path: Path) -> None:
    real_engine().close()
    if not Path(SOCKET).exists():
        pytest.skip(f"the Docker Engine of this laptop is not at {SOCKET}")
    for environ in ({}, {"DOCKER_HOST": f"unix://{SOCKET}"}, {"DOCKER_HOST": ""}):
        engine = local_engine({"HOME": str(tmp_path), **environ})
        assert engine.answers(10)
        engine.close()
