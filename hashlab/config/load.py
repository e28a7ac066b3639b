"""Read a lab folder: make one Lab of hashlab.toml, the Compose file and .env, or report
problems.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple
from unicodedata import category

from hashlab.config.artifacts import (
    artifacts_of,
    builders_of,
    check_artifacts,
    check_commands,
    outputs,
    own_images_of,
    step_of,
)
from hashlab.config.checks_lab import (
    check_contexts,
    check_dependencies,
    check_forwarded_guests,
    check_images,
    check_published_ports,
)
from hashlab.config.checks_networks import check_networks, publishes
from hashlab.config.checks_service import check_service
from hashlab.config.compose.choice import (
    NAME_VARIABLE,
    Choice,
    chosen,
)
from hashlab.config.compose.file import note_unused, read_compose
from hashlab.config.compose.image import IMAGE_CONTEXT, context_service
from hashlab.config.compose.loading import Loader
from hashlab.config.compose.networks import DEFAULT, network_of
from hashlab.config.compose.secret_files import source_of
from hashlab.config.compose.service import (
    image_name,
    is_active,
    replicas,
    selected_profiles,
    service_of,
    spread,
    watches,
)
from hashlab.config.compose.volumes import volume_of
from hashlab.config.defaults import lab_name, project_name, with_machines
from hashlab.config.fronts.making import front_images, with_fronts
from hashlab.config.fronts.settings import check_fronts, front_machines, fronts_of, listens
from hashlab.config.hashlab_toml import read_hashlab_toml, read_lab_name
from hashlab.config.hosts import may_encrypt, on_hosts
from hashlab.config.machines import (
    box_of,
    check_machines,
    machines_of,
    observe_of,
    provider_of,
    subnet_of,
)
from hashlab.config.model import Build, Content, Image, Lab, Network, Service, Watch
from hashlab.config.nodes import Node
from hashlab.config.placement import check_placement, everywhere, labels_of, place, split_volumes
from hashlab.config.providers import HOSTS, unknown_provider
from hashlab.config.published import with_published
from hashlab.config.readers import Context, Draft, attempt
from hashlab.config.reloads import check_reloads, reloads_of
from hashlab.config.report import Report, Wrong, suggestion
from hashlab.config.root_access import agent_access, check_allowed, root_access
from hashlab.config.sources import exists, is_file, read_text
from hashlab.config.toml_nodes import read_toml
from hashlab.errors import ConfigError, UsageError
from hashlab.state.labfolder import COMPOSE_FILES, FILE, FILES_VARIABLE, nearest

# Parts of a path, and the tool that gives them another meaning: OpenSSH expands or quotes names,
# Docker splits mounts. None of them allows escaping.
_NOT_IN_PATHS = {"${": "OpenSSH", '"': "OpenSSH", "\\": "OpenSSH", ":": "Docker"}
_NOT_IN_PATHS |= dict.fromkeys("[]?", "Vagrant")
ALL = "Vagrant and OpenSSH"
_WRITE = "Write the Compose file."


def find_lab_folder(start: Path) -> Path:
    """Return the nearest folder with a hashlab.toml, from ``start`` upwards; without one, the
    nearest with a Compose file, or that of a named one. Raises UsageError.
    """
    beginning = _absolute(start)
    folder = nearest(str(beginning))
    if folder is not None:
        return Path(folder)
    raise UsageError(
        f"cannot find {FILE} or {COMPOSE_FILES[0]} in {beginning} or any folder above it",
        next_step="cd to the folder of your Compose file, or name a file that exists by --file; "
        "without one: hashlab init --example hello",
    )


def load_lab(
    folder: Path,
    *,
    environ: Mapping[str, str],
    provider: str | None = None,
    ran: Mapping[str, str] = MappingProxyType({}),
    scaled: Mapping[str, int] = MappingProxyType({}),
) -> Lab:
    """Return the lab that the files of ``folder`` describe. Nothing is written or started.

    ``environ`` fills in variables (it overrides .env), finds programs (PATH) and selects profiles
    (COMPOSE_PROFILES). ``provider`` replaces the provider of the file. If the Lab's provider is
    "auto", rules of single providers are not checked. ``ran``: the machine on which each service
    ran last; ``scaled``: how often services run, whatever the file says.

    Raises ConfigError with all problems of all files, UsageError for an unknown provider.
    """
    if provider is not None and (wrong := unknown_provider(provider)):
        raise UsageError(wrong[0], next_step=wrong[1])
    folder = _absolute(folder)
    _check_name(folder)
    report = Report(FILE)
    draft = _read_hashlab_toml(folder, report)
    files = _read_compose_file(folder, draft, environ, report)
    if draft is not None and files is not None:
        wanted = provider_of(draft, provider)
        draft = with_machines(_with_name(draft, files, report), files.services, wanted)
        files = _scaled(files._replace(ran=ran), scaled)
    if draft is not None:
        _check_hashlab_toml(draft, folder, provider_of(draft, provider), environ, report)
    if files is not None:
        _check_compose(draft, files)
    if draft is None or files is None or report.problems:
        raise ConfigError(report.problems, sources=report.sources)
    lab = _with_notes_of_kept_files(_lab(folder, draft, files, provider_of(draft, provider)))
    return on_hosts(lab, encrypt=may_encrypt(draft)) if lab.provider == HOSTS else lab


def _scaled(files: _ComposeFile, numbers: Mapping[str, int]) -> _ComposeFile:
    """Return the Compose file with the numbers of replicas that a person asked for."""

    def scaled(services: Mapping[str, Draft]) -> dict[str, Draft]:
        return {
            name: each.filled(scaled=numbers[name]) if name in numbers else each
            for name, each in services.items()
        }

    for name, count in numbers.items():
        if name in files.active and replicas(files.active[name]) != count:
            line = files.active[name].line
            files.report.note(line, f"'{name}' runs {count} times until the next hashlab dev")
    return files._replace(services=scaled(files.services), active=scaled(files.active))


def _check_name(folder: Path) -> None:
    """Refuse a folder whose path Vagrant, OpenSSH or Docker cannot handle. Raises UsageError."""
    path = str(folder)
    bad = next((part for part in _NOT_IN_PATHS if part in path), None)
    bad = bad or next((c for c in path if category(c) in ("Cc", "Cs", "Zl", "Zp")), None)
    if bad is not None:
        raise UsageError(
            f"the path of the lab folder contains {_named(bad)}, which "
            f"{_NOT_IN_PATHS.get(bad, ALL)} cannot handle: {path!a}",
            next_step="rename the folder, or move the lab into another one",
        )


def _named(part: str) -> str:
    if category(part[0]) == "Cs":
        return "a byte that is not UTF-8"
    return repr(part) if part.isprintable() else f"the character {part!a}"


def _absolute(path: Path) -> Path:
    return Path(os.path.normpath(path.absolute()))  # links are kept, as the user typed them


class _ComposeFile(NamedTuple):
    """The valid parts of the Compose file.

    ``active``: the services of the selected ``profiles``; ``folder``: the lab folder;
    ``project``: the name of the project; ``ran``: as in ``load_lab``.
    """

    folder: Path
    draft: Draft
    report: Report
    services: Mapping[str, Draft]
    active: Mapping[str, Draft]
    project: str
    profiles: frozenset[str]
    ran: Mapping[str, str] = MappingProxyType({})


def _read_hashlab_toml(folder: Path, report: Report) -> Draft | None:
    """Return the valid parts of hashlab.toml, of which nothing is needed: it may be missing."""
    if not exists(folder / FILE):
        report.add_source(folder / FILE)
        return Draft()
    text = read_text(folder / FILE, report)
    if text is None:
        return None
    node = read_toml(text, report)
    return None if node is None else read_hashlab_toml(node, Context(report, folder))


def _read_compose_file(
    folder: Path, toml: Draft | None, environ: Mapping[str, str], report: Report
) -> _ComposeFile | None:
    lab = Draft() if toml is None else toml.get("lab", Draft())
    choice = chosen(folder, lab.get("compose", ()), environ, report)
    if _report_missing(choice, folder, lab, report):
        return None
    own_report = report.for_file(os.path.relpath(choice.paths[0], folder))
    loader = Loader(own_report, folder)
    known = len(report.problems)
    variables = dict(choice.environ)
    variables[NAME_VARIABLE] = variables.get(NAME_VARIABLE) or _project(lab, choice, loader)
    context = Context(own_report, choice.folder, variables, _made_later(folder, toml))
    node = loader.tree(choice.paths, context)
    if node is None:
        if len(report.problems) == known:
            own_report.add(0, "is empty", "Write services: {web: {image: …}}.")
        return None
    try:
        draft = read_compose(node, context)
    except Wrong as wrong:
        own_report.add_wrong(wrong)
        return None
    profiles = selected_profiles(variables)
    services: dict[str, Draft] = draft.get("services", {})
    active = {name: each for name, each in services.items() if is_active(each, profiles)}
    return _ComposeFile(
        folder, draft, own_report, services, active, variables[NAME_VARIABLE], profiles
    )


def _project(lab: Draft, choice: Choice, loader: Loader) -> str:
    """Return the name of the project if the environment does not say it: that of hashlab.toml, of
    the Compose files, or of their folder.
    """
    written = lab.get("name") or loader.name(choice.paths, choice.environ)
    return str(written or project_name(choice.folder.name))


def _with_name(toml: Draft, files: _ComposeFile, report: Report) -> Draft:
    """Return hashlab.toml with the name of the project. That of the environment wins as in Compose.

    Project names may have '_', host names of machines may not.
    """
    lab: Draft = toml.get("lab", Draft())
    if not lab.has("name"):
        return toml.filled(lab=lab.filled(name=lab_name(files.project)))
    written = files.project.replace("_", "-")
    if written == lab.get("name") or lab.flawed("name"):
        return toml
    own_report = report.for_file(NAME_VARIABLE)
    for name in attempt(read_lab_name, Node(written, 0), Context(own_report, files.folder)):
        own_report.note(0, f"the lab is called '{name}', not as in hashlab.toml")
        toml = toml.filled(lab=lab.filled(name=name))
    return toml


def _report_missing(choice: Choice, folder: Path, lab: Draft, report: Report) -> bool:
    """Report the Compose files that do not exist. Return whether there are any."""
    missing = [path for path in choice.paths if not exists(path)]
    for path in missing:
        report.add_source(path)
        shown = os.path.relpath(path, folder)
        message = f"the Compose file '{shown}' does not exist"
        if choice.variable:
            report.for_file(FILES_VARIABLE).add(0, message, "Write it, or name another file.")
        elif not lab.has("compose"):
            report.for_file(shown).add(0, f"does not exist in {folder}", _WRITE)
        else:
            existing = next((name for name in COMPOSE_FILES if is_file(folder / name)), None)
            hint = f'Write compose = "{existing}" under [lab].' if existing else _WRITE
            report.add(lab.line_of("compose"), message, hint)
    return bool(missing)


def _made_later(folder: Path, toml: Draft | None) -> Callable[[Path], bool]:
    """Return a test for paths that a run will create: outputs of artifacts, generated secrets."""
    if toml is None:
        return lambda _: True
    names = toml.get("secrets", Draft()).get("generate", ())
    made = {folder / ".hashlab" / "secrets" / name.value for name in names}
    made.update(outputs(toml, folder).values())

    def will_exist(path: Path) -> bool:
        return any(path == each or each in path.parents or path in each.parents for each in made)

    return will_exist


def _check_hashlab_toml(
    draft: Draft, folder: Path, provider: str, environ: Mapping[str, str], report: Report
) -> None:
    check_machines(draft, provider, report)
    check_artifacts(draft, folder, report)
    check_commands(draft, folder, environ.get("PATH", os.defpath), report)
    seen: set[str] = set()
    for name, line in draft.get("secrets", Draft()).get("generate", ()):
        if name in seen:
            report.add(line, f"the secret '{name}' is listed twice", "Keep one.")
        seen.add(name)


def _check_compose(toml: Draft | None, files: _ComposeFile) -> None:
    """Report problems across services; without hashlab.toml, those that do not depend on it."""
    report, services, active = files.report, files.services, files.active
    fronts = fronts_of(toml or Draft())
    for name, service in services.items():
        own_report = report if name in active else report.of_inactive()
        check_service(name, service, files.draft, own_report, fronted=name in fronts)
    check_dependencies(services, active, report)
    check_contexts(services, report)
    check_networks(active, files.draft, subnet_of(toml or Draft()), report)
    if toml is not None:
        for key in ("privileged", "ssh_agent"):
            allowed = toml.get("lab", Draft()).get(key, ())
            check_allowed(allowed, services, report.for_file(FILE))
    machines = labels_of(toml or Draft())
    if toml is None or not machines:
        return
    lab = toml.get("lab", Draft())
    note_unused(files.draft, lab, report)
    check_images(services, lab.get("name", "lab"), report)
    split = split_volumes(toml)
    check_placement(active, machines, split, report, own=toml.has("machines"))
    _check_split(toml, files)
    check_fronts(toml, services, report.for_file(FILE))
    places = place(active, machines, split, files.ran)
    publishing = {**places, **_front_machines(toml, files, places)}
    check_published_ports(toml, active, publishing, report)
    check_forwarded_guests(toml, services, publishing, report.for_file(FILE))
    check_reloads(toml, services, files.folder, report.for_file(FILE))


def _check_split(toml: Draft, files: _ComposeFile) -> None:
    """Report volumes of hashlab.toml that the Compose file does not declare."""
    declared, report = files.draft.get("volumes", {}), files.report.for_file(FILE)
    for name, volume in toml.get("volumes", {}).items():
        if name not in declared:
            hint = suggestion(name, list(declared), otherwise="Remove it.")
            report.add(volume.line, f"unknown volume '{name}'", hint)


def _front_machines(toml: Draft, files: _ComposeFile, places: Mapping[str, str]) -> dict[str, str]:
    """Return the machine of each front, by service; {} if a service has no place."""
    several = everywhere(files.active, labels_of(toml), places, files.ran)
    if files.active.keys() - places.keys() - several.keys():
        return {}
    return front_machines(toml, files.active, places, several)


def _lab(folder: Path, toml: Draft, files: _ComposeFile, provider: str) -> Lab:
    name = toml.get("lab").get("name")
    places = place(files.active, labels_of(toml), split_volumes(toml), files.ran)
    several = everywhere(files.active, labels_of(toml), places, files.ran)
    networks = files.draft.get("networks", {})
    active = {name: each for name, each in files.active.items() if publishes(each, networks)}
    firsts = {name: next(iter(machines)) for name, machines in several.items()}
    fronts, publishing = fronts_of(toml), front_machines(toml, files.active, places, several)
    toml = with_published(toml, active, {**places, **firsts, **publishing}, files.report)
    generated = toml.get("secrets", Draft()).get("generate", ())
    services = _services(name, files, places, several)
    ports = {name: listens(files.active[name]) for name in publishing}
    services = with_fronts(services, fronts, publishing, ports)
    return Lab(
        folder=folder,
        name=name,
        provider=provider,
        subnet=subnet_of(toml),
        machines=machines_of(toml),
        services=services,
        networks=_networks(name, services, files),
        images=(*_images(name, files.services), *front_images(fronts.values())),
        box=box_of(toml),
        builders=builders_of(toml),
        artifacts=artifacts_of(toml, folder),
        reloads=reloads_of(toml, files.active, folder),
        generated_secrets=tuple(secret.value for secret in generated),
        seed=step_of(toml, "seed"),
        verify=step_of(toml, "verify"),
        test=step_of(toml, "test"),
        own_images=own_images_of(toml),
        observe=observe_of(toml),
        notes=files.report.notes,
        sources=tuple(files.report.sources),
        declared=_declared(files),
        own_machines=toml.has("machines"),
        agent_access=agent_access(files.services, _may(toml, "ssh_agent"), files.report),
        root_access=root_access(
            files.active, files.draft.get("volumes", {}), _may(toml, "privileged"), files.report
        ),
        secrets=tuple(_sources(files, "secrets").items()),
        volumes=tuple(
            volume_of(key, draft, name) for key, draft in files.draft.get("volumes", {}).items()
        ),
        profiles=tuple(sorted(files.profiles)),
        inactive=tuple(
            (service, tuple(draft.get("profiles", ())))
            for service, draft in files.services.items()
            if service not in files.active
        ),
    )


def _may(toml: Draft, key: str) -> list[str]:
    """Return the services that a key of [lab] allows something."""
    return [name for name, _ in toml.get("lab", Draft()).get(key, ())]


def _with_notes_of_kept_files(lab: Lab) -> Lab:
    """Return the lab with a note for each secret or config that is left out of a bind mount."""
    sources = dict.fromkeys(bind.source for service in lab.services for bind in service.binds)
    notes = (
        f"{os.path.relpath(source / name, lab.folder)} is declared as a secret or config, so it is "
        f"left out of the mount of {os.path.relpath(source, lab.folder)}"
        for source in sources
        for name in lab.boundary.kept_below(source)
    )
    return replace(lab, notes=(*lab.notes, *notes))


def _declared(files: _ComposeFile) -> tuple[Path, ...]:
    """Return the files of all secrets and configs, including unused ones."""
    groups = (files.draft.get(kind, {}) for kind in ("secrets", "configs"))
    paths = (each.get("file") for group in groups for each in group.values())
    return tuple(dict.fromkeys(path for path in paths if path is not None))


def _sources(files: _ComposeFile, kind: str) -> dict[str, Path | Content]:
    """Return what secrets or configs of the top level consist of, by name."""
    drafts: dict[str, Draft] = files.draft.get(kind, {})
    return {name: source for name, each in drafts.items() if (source := source_of(each))}


def _services(
    lab: str,
    files: _ComposeFile,
    places: Mapping[str, str],
    several: Mapping[str, Mapping[str, int]],
) -> tuple[Service, ...]:
    sources = {kind: _sources(files, kind) for kind in ("secrets", "configs")}
    services = tuple(
        service_of(
            name,
            draft,
            lab=lab,
            machine=places.get(name, ""),
            active=frozenset(files.active),
            files=sources,
        )
        for name, draft in files.active.items()
    )
    return spread(services, several)


def _networks(lab: str, services: tuple[Service, ...], files: _ComposeFile) -> tuple[Network, ...]:
    """Return the networks that a service is on. The default one need not be declared."""
    declared = {DEFAULT: Draft(), **files.draft.get("networks", {})}
    used = {attachment.network for service in services for attachment in service.networks}
    return tuple(network_of(key, each, lab) for key, each in declared.items() if key in used)


def _of_images(build: Build | None, lab: str, services: Mapping[str, Draft]) -> Build | None:
    """Return a build whose contexts are images where they were services."""
    if build is None:
        return None
    contexts = tuple(
        (name, f"{IMAGE_CONTEXT}{image_name(lab, other, services[other])}" if other else context)
        for name, context in build.additional_contexts
        for other in [context_service(context)]
    )
    return replace(build, additional_contexts=contexts)


def _images(lab: str, services: Mapping[str, Draft]) -> tuple[Image, ...]:
    builds: dict[str, Build | None] = {}
    rules: dict[str, list[tuple[Watch, ...]]] = {}
    for service, draft in services.items():
        if not (draft.get("image") or draft.get("build")) or draft.flawed("build"):
            continue  # of a profile that is not active, with a mistake
        name = image_name(lab, service, draft)
        builds[name] = builds.get(name) or _of_images(draft.get("build"), lab, services)
        rules.setdefault(name, []).append(tuple(entry.value for entry in watches(draft)))
        for step in draft.get("pre_start", ()):
            builds.setdefault(step.image or name, None)
            rules.setdefault(step.image or name, [])
    return tuple(Image(name, build, tuple(rules[name])) for name, build in builds.items())
