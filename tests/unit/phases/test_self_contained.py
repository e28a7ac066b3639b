"""`hashlab images`: what is inside, what is not, and which bytes depend on what."""

from __future__ import annotations

import io
import json
import os
import tarfile
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from fakes import Outside, change_service, run, small_lab, write_files

from hashlab.config.model import BindMount, Content, OwnImages, Watch
from hashlab.documents.images import ServiceImage, ServiceImages
from hashlab.phases.images import INPUTS_LABEL
from hashlab.phases.selfcontained.normal import FIXED_TIME
from hashlab.phases.selfcontained.store import Store
from hashlab.pipeline import RunResult
from hashlab.run import workflows

PASSWORD = "correct horse battery staple"
OS_RELEASE = 'ID=debian\nVERSION_ID="13"\n'
STATUS = (
    "Package: bash\nStatus: install ok installed\nArchitecture: amd64\nVersion: 5.2-1\n\n"
    "Package: gone\nStatus: deinstall ok config-files\nArchitecture: amd64\nVersion: 1\n"
)


def layer(files: Mapping[str, Any], *, time: int = 1_700_000_000) -> bytes:
    """A layer: text is a file, None a folder, a tuple of one a link."""
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as archive:
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            info.mtime = time
            if content is None:
                info.type, info.mode = tarfile.DIRTYPE, 0o711
            elif isinstance(content, tuple):
                info.type, info.linkname = tarfile.SYMTYPE, content[0]
            else:
                info.size = len(content)
            archive.addfile(info, io.BytesIO((content or "").encode()) if info.size else None)
    return stream.getvalue()


def base_files(**more: Any) -> dict[str, Any]:
    return {
        "etc": None,
        "etc/os-release": OS_RELEASE,
        "var": None,
        "var/lib": None,
        "var/lib/dpkg": None,
        "var/lib/dpkg/status": STATUS,
        "srv": None,
        "srv/real": None,
        "linked": ("srv/real",),
        **more,
    }


CONFIG = {
    "architecture": "amd64",
    "os": "linux",
    "config": {
        "Cmd": ["serve"],
        "User": "app",
        "Env": ["PATH=/bin"],
        "Labels": {INPUTS_LABEL: "x"},
    },
    "history": [{"created_by": "|1 TOKEN=abc /bin/sh -c make all"}],
}


@pytest.fixture
def lab(outside: Outside) -> Outside:
    """A lab whose artifact is built, and whose images the laptop's engine has."""
    return prepared(outside)


def prepared(
    outside: Outside, more: Mapping[str, Any] = {}, *, time: int = 1_700_000_000
) -> Outside:
    folder = outside.lab.folder
    write_files(
        folder,
        {
            "out/app/run.py": "print()",
            "out/app/lib/big.jar": "x" * (1 << 20),
            ".hashlab/secrets/password": f"{PASSWORD}\n",
        },
    )
    outside.runner.prepare("make", "app")
    outside.runner.prepare("git", "rev-parse", stdout="c0ffee\n")
    outside.runner.prepare("git", "status", stdout=" M file\n")
    for name in ("small/queue", "small/site"):
        outside.laptop.roots[name] = (CONFIG, [layer(base_files(**more), time=time)])
        outside.laptop.images[name] = {INPUTS_LABEL: "old"}
    secret = folder / ".hashlab/secrets/password"
    outside.lab = replace(outside.lab, declared=(secret,), secrets=(("password", secret),))
    return outside


def made(outside: Outside, **how: bool) -> ServiceImages:
    result = attempt(outside, **how)
    assert result.error is None, str(result.error)
    document = Store(outside.state.oci).document()
    assert document is not None
    return document


def attempt(outside: Outside, **how: bool) -> RunResult:
    options = {"load": False, "check": False, **how}
    return run(outside, workflows.self_contained(**options))


def image(document: ServiceImages, service: str = "site") -> ServiceImage:
    return next(image for image in document.images if image.service == service)


def members(outside: Outside, digest: str) -> dict[str, tarfile.TarInfo]:
    with tarfile.open(Store(outside.state.oci).path(digest)) as archive:
        return {member.name: member for member in archive.getmembers()}


def config_of(outside: Outside, one: ServiceImage) -> dict[str, Any]:
    store = Store(outside.state.oci)
    value: dict[str, Any] = store.read(store.read(one.digest)["config"]["digest"])
    return value


def test_an_image_holds_artifacts_and_mounted_files(lab: Outside) -> None:
    site = image(made(lab))
    names = {name for one in site.layers[1:] for name in members(lab, one.digest)}
    assert {"app/run.py", "app/lib/big.jar", "static/index.html", "etc/site.conf"} <= names
    assert [one.origin for one in site.layers] == ["RUN make all", "large files", "files"]


def test_no_layer_holds_the_content_of_a_secret(lab: Outside) -> None:
    made(lab)
    blobs = list((lab.state.oci / "blobs/sha256").iterdir())
    assert len(blobs) > 5
    for path in [*blobs, *(lab.state.oci / "sbom").iterdir()]:
        assert PASSWORD.encode() not in path.read_bytes()


def test_a_secret_in_a_file_of_another_name_is_refused(lab: Outside) -> None:
    write_files(lab.lab.folder, {"static/app.js": f"let password = '{PASSWORD}'"})
    error = attempt(lab).error
    assert error is not None
    assert "secret password" in error.what
    assert error.where.endswith("static/app.js")


def test_a_mounted_secret_and_a_secret_of_a_variable_stay_outside(lab: Outside) -> None:
    secret = lab.lab.folder / ".hashlab/secrets/password"
    site = lab.lab.service("site")
    binds = (*site.binds, BindMount(secret, "/run/password"))
    lab.lab = change_service(lab.lab, "site", binds=binds)
    lab.lab = replace(lab.lab, secrets=(("token", Content("abcdefghijkl")),))
    document = made(lab)
    assert any("/run/password is not in its image" in note for note in document.notes)
    write_files(lab.lab.folder, {"static/app.js": "abcdefghijkl"})
    assert attempt(lab).error is not None


def test_the_same_files_in_another_folder_on_another_day_give_the_same_digests(
    lab: Outside, tmp_path: Path
) -> None:
    first = made(lab)
    other = prepared(
        Outside(small_lab(tmp_path / "elsewhere"), tmp_path / "laptop2"), time=1_800_000_000
    )
    for path in other.lab.folder.rglob("*"):
        os.utime(path, (1, 1))
        path.chmod(0o775 if path.is_dir() or path.stat().st_mode & 0o100 else 0o664)
    second = made(other)
    assert [one.digest for one in first.images] == [one.digest for one in second.images]


def test_an_edit_of_code_moves_only_the_last_layer(lab: Outside) -> None:
    before = image(made(lab))
    write_files(lab.lab.folder, {"out/app/run.py": "print(2)"})
    after = image(made(lab))
    assert before.layers[:-1] == after.layers[:-1]
    assert before.layers[-1] != after.layers[-1]
    assert before.image != after.image


def test_a_second_run_reads_no_image_of_the_engine_again(lab: Outside) -> None:
    made(lab)
    lab.faults.calls.clear()
    made(lab)
    assert not [call for call in lab.faults.calls if call.name == "laptop.save_images"]


def test_patterns_of_hashlab_toml_make_layers(lab: Outside) -> None:
    layers = ("out/app/lib", "**/*.css")
    lab.lab = replace(lab.lab, own_images=OwnImages(layers=layers))
    site = image(made(lab))
    assert [one.origin for one in site.layers[1:]] == [*layers, "files"]
    assert "static/style/site.css" in members(lab, site.layers[2].digest)


def test_a_mounted_folder_hides_what_the_base_has_there(lab: Outside) -> None:
    prepared(lab, {"app": None, "app/old": "old"})
    site = image(made(lab))
    assert "app/.wh..wh..opq" in members(lab, site.layers[1].digest)
    assert "app/.wh..wh..opq" not in members(lab, site.layers[2].digest)


def test_folders_of_the_base_keep_their_mode_and_links_are_followed(lab: Outside) -> None:
    rule = Watch(lab.lab.folder / "conf", "sync", "/linked/conf")
    lab.lab = change_service(lab.lab, "site", watch=(rule,))
    files = members(lab, image(made(lab)).layers[-1].digest)
    assert "srv/real/conf/site.conf" in files
    assert (files["srv"].mode, files["etc"].mode, files["static"].mode) == (0o711, 0o711, 0o755)


def test_times_are_fixed_and_differ_for_different_content(lab: Outside) -> None:
    site = image(made(lab))
    below = members(lab, site.layers[0].digest)
    assert {member.mtime for member in below.values()} == {FIXED_TIME}
    before = members(lab, site.layers[-1].digest)["app/run.py"].mtime
    write_files(lab.lab.folder, {"out/app/run.py": "print(2)"})
    after = members(lab, image(made(lab)).layers[-1].digest)["app/run.py"].mtime
    assert FIXED_TIME < before != after


def test_logs_are_emptied_and_files_of_a_package_keep_their_time(lab: Outside) -> None:
    more = {
        "var/lib/dpkg/info/bash.list": "/.\n/etc\n/etc/bash.bashrc\n",
        "etc/bash.bashrc": "rc",
        "var/log/dpkg.log": "2026-11-29 install",
    }
    prepared(lab, more, time=1_600_000_000)
    files = members(lab, image(made(lab)).layers[0].digest)
    assert files["etc/bash.bashrc"].mtime == 1_600_000_000
    assert files["etc"].mtime == FIXED_TIME
    assert files["var/log/dpkg.log"].size == 0


def test_a_layer_that_came_from_a_registry_is_left_as_it_is(lab: Outside) -> None:
    lab.laptop.images["small/site"] = lab.laptop.images["small/queue"] = {INPUTS_LABEL: "x"}
    pulled = layer({"etc/os-release": OS_RELEASE}, time=5)
    lab.laptop.roots["debian"] = (CONFIG, [pulled])
    lab.laptop.images["debian"] = {}
    lab.laptop.roots["small/site"] = (CONFIG, [pulled, layer({"a": "b"})])
    first, second, *_ = image(made(lab)).layers
    store = Store(lab.state.oci)
    assert store.path(first.digest).read_bytes() == pulled
    assert members(lab, second.digest)["a"].mtime == FIXED_TIME


def test_the_configuration_is_the_bases_with_what_the_compose_file_says(lab: Outside) -> None:
    lab.lab = change_service(lab.lab, "site", command=("serve", "--all"), user="10:10")
    site = image(made(lab))
    config = config_of(lab, site)
    assert config["config"]["Cmd"] == ["serve", "--all"]
    assert config["config"]["User"] == "10:10"
    assert config["config"]["Healthcheck"]["Test"] == ["CMD", "ready"]
    assert config["config"]["Env"] == ["PATH=/bin"], "GREETING is not inside"
    assert config["config"]["Labels"] == {"hashlab.content": site.image.rpartition(":")[2]}
    assert "TOKEN" not in json.dumps(config)


def test_an_entrypoint_of_the_compose_file_drops_the_command_of_the_base(lab: Outside) -> None:
    lab.lab = change_service(lab.lab, "site", entrypoint=("run",))
    config = config_of(lab, image(made(lab)))["config"]
    assert config["Entrypoint"] == ["run"]
    assert "Cmd" not in config


def test_commit_and_time_are_annotations_of_the_index(lab: Outside) -> None:
    made(lab)
    index = json.loads((lab.state.oci / "index.json").read_text())
    notes = index["manifests"][0]["annotations"]
    assert notes["org.opencontainers.image.revision"] == "c0ffee"
    assert notes["hashlab.dirty"] == "true"
    assert notes["org.opencontainers.image.created"].endswith("Z")


def test_without_git_there_is_no_commit(lab: Outside) -> None:
    lab.runner.prepare("git", "rev-parse", code=128, stderr="not a repository")
    made(lab)
    index = json.loads((lab.state.oci / "index.json").read_text())
    assert "org.opencontainers.image.revision" not in index["manifests"][0]["annotations"]


def test_the_sbom_names_the_packages_of_the_base(lab: Outside) -> None:
    site = image(made(lab))
    bom = json.loads((lab.lab.folder / site.sbom).read_text())
    assert bom["bomFormat"] == "CycloneDX"
    purls = [component.get("purl") for component in bom["components"]]
    assert purls == [
        None,
        "pkg:deb/debian/bash@5.2-1?arch=amd64&distro=debian-13&upstream=bash",
    ]


def with_bom(lab: Outside, text: str) -> None:
    bom = lab.lab.folder / "out/bom.json"
    artifact = replace(lab.lab.artifacts[0], sbom=bom)
    lab.lab = replace(lab.lab, artifacts=(artifact,), own_images=OwnImages(sbom=("make", "bom")))

    def write(_: Sequence[str]) -> None:
        bom.write_text(text)

    lab.runner.prepare("make", "bom", effect=write)


def test_the_sbom_names_the_libraries_that_the_build_tool_lists(lab: Outside) -> None:
    with_bom(lab, json.dumps({"bomFormat": "CycloneDX", "components": [{"name": "netty"}]}))
    site = image(made(lab))
    bom = json.loads((lab.lab.folder / site.sbom).read_text())
    assert bom["components"][-1] == {"name": "netty"}
    made(lab)
    assert [ran.command for ran in lab.runner.ran].count(("make", "bom")) == 1


def test_a_bill_of_materials_of_another_form_is_an_error(lab: Outside) -> None:
    with_bom(lab, "{}")
    error = attempt(lab).error
    assert error is not None
    assert "bill of materials of artifact app" in error.what


def test_a_failed_command_for_bills_of_materials_is_an_error(lab: Outside) -> None:
    with_bom(lab, "{}")
    lab.runner.prepare("make", "bom", code=1, stderr="no plugin")
    error = attempt(lab).error
    assert error is not None
    assert "no plugin" in error.output


def test_load_brings_the_images_to_the_laptops_engine_once(lab: Outside) -> None:
    site = image(made(lab, load=True))
    assert lab.laptop.plain[site.image].layers == tuple(one.digest for one in site.layers)
    write_files(lab.lab.folder, {"out/app/run.py": "print(2)"})
    changed = image(made(lab, load=True))
    sent = lab.laptop.plain[changed.image].sent
    assert list(sent) == [changed.layers[-1].digest], "only the layer that changed was sent"


def test_check_names_the_layer_and_the_files_that_a_second_build_makes_different(
    lab: Outside, monkeypatch: pytest.MonkeyPatch
) -> None:
    def build_again(name: str, **_: object) -> None:
        lab.laptop.images[name] = {INPUTS_LABEL: "x"}
        lab.laptop.roots[name] = (CONFIG, [layer(base_files(**{"etc/random": "2"}))])

    prepared(lab, {"etc/random": "1"})
    made(lab)
    monkeypatch.setattr(lab.laptop, "build_image", build_again)
    error = attempt(lab, check=True).error
    assert error is not None
    assert "small/site, layer 1 (RUN make all): etc/random (content)" in error.what
    assert not [name for name in lab.laptop.images if "second" in name]


def test_prune_leaves_the_newest_images_whole(lab: Outside) -> None:
    made(lab)
    write_files(lab.lab.folder, {"out/app/run.py": "print(2)"})
    after = made(lab)
    store = Store(lab.state.oci)
    before = len(list((lab.state.oci / "blobs/sha256").iterdir()))
    assert run(lab, workflows.PRUNE_IMAGES).error is None
    assert len(list((lab.state.oci / "blobs/sha256").iterdir())) < before
    for one in after.images:
        assert all(store.has(blob) for blob in store.blobs_of(one.digest))
    lab.faults.calls.clear()
    assert made(lab) == after
    assert not [call for call in lab.faults.calls if call.name == "laptop.save_images"]


def test_a_damaged_layer_is_made_again(lab: Outside) -> None:
    site = image(made(lab))
    for one in site.layers:
        Store(lab.state.oci).path(one.digest).write_bytes(b"cut")
    assert image(made(lab)) == site


def test_a_service_that_runs_as_root_is_noted(lab: Outside) -> None:
    lab.lab = change_service(lab.lab, "site", user="root")
    assert any("site: it runs as root" in note for note in made(lab).notes)
