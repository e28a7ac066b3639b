"""The workflows as data: their phases, and what each phase waits for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

from hashlab.phases import (
    artifacts,
    boot,
    connect,
    destroy,
    disks,
    doctor,
    halt,
    hosts,
    images,
    kept_data,
    leave,
    names,
    network,
    observe,
    ports,
    prepare,
    proof,
    pull,
    recipe,
    secrets,
    seed,
    stop,
    stores,
    suspend,
    test,
    verify,
)
from hashlab.phases.boxes import base, export, imports, prune, register, store, system
from hashlab.phases.boxes import images as box_images
from hashlab.phases.containers import phase as containers
from hashlab.phases.containers import sandboxes
from hashlab.phases.deploy import machines as swarm_machines
from hashlab.phases.deploy import plan as planning
from hashlab.phases.deploy import pushed, removal, rollout, rotate
from hashlab.phases.deploy.target import Target
from hashlab.phases.export.export import Kind
from hashlab.phases.export.export import export as export_files
from hashlab.phases.selfcontained import again, assemble, deliver, push, sbom
from hashlab.phases.selfcontained import images as own
from hashlab.phases.selfcontained.load import load_images
from hashlab.phases.selfcontained.prune import prune_images
from hashlab.phases.selfcontained.push import Place
from hashlab.phases.snapshots import restore as restoring
from hashlab.phases.snapshots import take
from hashlab.phases.world import World
from hashlab.pipeline import Phase, Where

P = Phase[World]

INIT_BOX: tuple[P, ...] = (
    P("artifacts", artifacts.build_artifacts, after=("doctor",), where=artifacts.feed_images),
    P("recipe", recipe.check_recipe, after=("artifacts",)),
    P("doctor", doctor.doctor_building),
    P("base", base.make_bases, after=("doctor", "recipe")),
    P("system", system.build_system, after=("base",)),
    P("images", box_images.build_box_images, after=("base",)),
    P("store", store.put_images_inside, after=("system", "images")),
    P("register", register.register, after=("store",)),
)

# Phases on connected machines, in a new lab as in a running one.
NETWORK = P("network", network.join_network, after=("connect",), parts=network.parts)
PORTS = P("ports", ports.forward_ports, after=("connect",))
KEPT_DATA = P("kept data", kept_data.restore_data, after=("connect",), per="machine")
IMAGES = P("images", own.bring_images, after=("connect", "hash images", "assemble"), per="machine")
SANDBOXES = P("sandboxes", sandboxes.make_sandboxes, after=("network",), per="machine")
NAMES = P("names", names.await_names, after_end=("containers",))
PROOF = P("proof", proof.prove, after=("hash images", "assemble"), after_end=("containers",))
# An image that is built from an artifact is hashed after the artifact is built.
FED = Where("artifacts", artifacts.feed_images)
# Only of a lab that runs from self-contained images.
ASSEMBLE = P(
    "assemble",
    assemble.assemble_images,
    after=("artifacts", "hash images"),
    where=assemble.runs_images,
)


# Before any container starts, for that waits for the secrets.
FOREIGN = P("foreign", hosts.check_foreign, after_end=("connect",), where=hosts.are_hosts)


def _observing(*first: str) -> tuple[P, ...]:
    """Store logs and metrics, in a lab that asks for it or did until now. Nothing of the lab waits
    for it, and it goes on when this fails. ``first``: the phases before programs are looked for.
    """
    concerns, wanted = observe.concerns, (lambda world: bool(world.observed))
    return (
        P("stores", stores.get_stores, after=first, alone=True, where=wanted),
        P("observe", observe.observe, after=("connect", "stores"), alone=True, where=concerns),
    )


def _containers(
    *,
    builds: str | Where[World] = "artifacts",
    data: str = "kept data",
    network: str = "network",
) -> P:
    """Start the services after ``builds``, the phase that builds what they mount, ``data``, the
    phase that puts their data back, and ``network``, the last that prepares their networks.
    """
    files = ("images", builds, "secrets", data)
    return P(
        "containers",
        containers.start_containers,
        parts=containers.parts,
        parts_after={
            "conditions": ("images",),
            # Files need no network: in a new lab they are uploaded while it is made.
            "observe": files,
            "upload": files,
            "start": (network, *files),
            "ready": (network, *files),
            # It waits for other parts only.
            "renew": (),
        },
    )


def _started() -> tuple[P, ...]:
    """Bring the services up once machines answer."""
    return (
        NETWORK,
        SANDBOXES,
        PORTS,
        KEPT_DATA,
        IMAGES,
        # Machines that mount no artifact do not wait for builds, though one may still fail.
        _containers(builds=Where("artifacts", containers.mounts_artifacts), network="sandboxes"),
        NAMES,
        PROOF,
        P("seed", seed.seed, after=("names", "ports")),
        P("verify", verify.verify, after=("seed",)),
        *_observing("doctor"),
    )


def _dev(*, removed: tuple[str, ...] = ()) -> tuple[P, ...]:
    """Bring the lab up. ``removed``: the phases that remove machines which it makes again."""
    return (
        P("doctor", doctor.doctor),
        P("artifacts", artifacts.build_artifacts, after=("doctor",)),
        P("hash images", own.hash_images, after=("doctor", FED)),
        ASSEMBLE,
        P(
            "leave",
            leave.remove_left,
            # Only after everything that can fail on the laptop has succeeded.
            after=("doctor", "artifacts", "hash images", "assemble"),
            where=leave.some_left,
        ),
        P("prepare", prepare.prepare, after=("doctor", "leave", *removed)),
        P("disks", disks.make_disks, after=("prepare",)),
        P("boot", boot.boot, after=("prepare",)),
        P("connect", connect.connect, after=("prepare",), per="machine"),
        P("secrets", secrets.make_secrets, after=("prepare",)),
        *_started(),
    )


DEV = _dev()

# The same on hosts that are there already.
DEV_ON_HOSTS: tuple[P, ...] = (
    P("doctor", doctor.doctor),
    P("artifacts", artifacts.build_artifacts, after=("doctor",)),
    P("hash images", own.hash_images, after=("doctor", FED)),
    ASSEMBLE,
    P("connect", hosts.connect_host, after=("doctor",), per="machine"),
    P("recipe", recipe.check_recipe_of_machines, after=("connect",)),
    FOREIGN,
    P("secrets", secrets.make_secrets, after=("connect", "foreign")),
    *_started(),
)

PREPARE_HOSTS: tuple[P, ...] = (
    P("doctor", doctor.doctor),
    P("plan", hosts.plan_hosts, after=("doctor",)),
    P("prepare", hosts.prepare_host, after=("plan",), per="machine"),
)


def destroying_on_hosts(
    *, volumes: bool = False, unprepare: bool = False, keep_observed: bool = False
) -> tuple[P, ...]:
    """Remove the lab from its hosts. ``volumes``: its data too; ``unprepare``: also what `init-box`
    did to the hosts; ``keep_observed``: but not the stored logs.
    """
    remove = partial(hosts.remove_from_host, volumes=volumes)
    forget = destroy.forget_but_observed if keep_observed else destroy.forget
    return (
        P("connect", hosts.connect_host, per="machine"),
        P("remove", remove, after=("connect",), per="machine"),
        P("networks", hosts.remove_networks, after=("remove",)),
        P("look", hosts.look_at_hosts, after=("networks",), per="machine"),
        *(
            [P("unprepare", hosts.unprepare_host, after=("look",), per="machine")]
            if unprepare
            else []
        ),
        P("local state", forget, after=("unprepare" if unprepare else "look",)),
    )


REFRESH: tuple[P, ...] = (
    P("artifacts", artifacts.build_artifacts),
    P("hash images", own.hash_images, after=(FED,)),
    ASSEMBLE,
    # If one machine does not answer, the work on the others is still done.
    P("connect", connect.reconnect, per="machine", alone=True),
    P(
        "recipe",
        recipe.check_recipe_of_machines,
        after=("hash images",),
        after_end=("connect",),
    ),
    P("leave", leave.refuse_left, alone=True, where=leave.some_left),
    FOREIGN,
    P("secrets", secrets.make_secrets, after=("foreign",), after_end=("connect",)),
    NETWORK,
    PORTS,
    KEPT_DATA,
    IMAGES,
    _containers(),
    # Names lead to a machine that is to leave, too.
    replace(NAMES, after=("leave",)),
    PROOF,
    P("seed", seed.seed_after_change, after=("connect", "names", "ports")),
    P("verify", verify.verify_after_change, after=("seed",)),
    *_observing(),
)

SEED: tuple[P, ...] = (
    P("connect", connect.reconnect, per="machine"),
    P("ports", ports.forward_ports, after=("connect",)),
    P("seed", seed.seed, after=("ports",)),
)

VERIFY: tuple[P, ...] = (
    P("hash images", own.hash_images),
    P("connect", connect.reconnect, per="machine"),
    P("ports", ports.forward_ports, after=("connect",)),
    P("names", names.await_names, after=("connect",)),
    P("proof", proof.prove, after=("connect", "hash images")),
    P("verify", verify.verify, after=("names", "ports")),
)

DOWN: tuple[P, ...] = (
    P("connect", connect.reconnect, per="machine"),
    P("stop and remove", stop.remove_containers, after=("connect",)),
)

HALT: tuple[P, ...] = (P("halt", halt.halt),)

SUSPEND: tuple[P, ...] = (P("suspend", suspend.suspend),)

RESUME: tuple[P, ...] = (
    P("resume", suspend.resume),
    P("connect", connect.reconnect, after=("resume",), per="machine"),
    P("ports", ports.forward_ports, after=("connect",)),
    P("names", names.await_names, after=("connect",)),
)


def destroying(*, box: bool = False, keep_observed: bool = False) -> tuple[P, ...]:
    """Remove the lab. ``box``: its box too; ``keep_observed``: but not what its stores have."""
    forget = destroy.forget_but_observed if keep_observed else destroy.forget
    return (
        P("machines", destroy.destroy_machines),
        P("leftovers", destroy.discard_leftovers, after=("machines",)),
        P("local state", forget, after=("leftovers",)),
        P("look", destroy.look, after=("local state",)),
        *([P("box", destroy.destroy_box, after=("look",))] if box else []),
    )


DESTROY = destroying()


def starts_services(workflow: Sequence[P]) -> bool:
    """Return whether a workflow starts the services of the lab."""
    return any(phase.run is containers.start_containers for phase in workflow)


def changes_machines(workflow: Sequence[P]) -> bool:
    """Return whether a workflow may change machines. It connects to them, or plans to."""
    return any(phase.name in ("connect", "plan") for phase in workflow)


def builds_images(workflow: Sequence[P]) -> bool:
    """Return whether a workflow may build images on the laptop."""
    return any(phase.name in ("images", "build images") for phase in workflow)


def restarting(services: Sequence[str]) -> tuple[P, ...]:
    """REFRESH that restarts the replicas of these services in turn."""
    restart = P("restart", partial(stop.restart_services, services=services))
    # Parts of phase containers wait for phase secrets.
    later = (replace(p, after=(*p.after, "restart")) if p.name == "secrets" else p for p in REFRESH)
    return (restart, *later)


def stopping(services: Sequence[str]) -> tuple[P, ...]:
    """End the containers of these services."""
    return (
        P("connect", connect.reconnect, per="machine"),
        P("stop", partial(stop.stop_services, services=services), after=("connect",)),
    )


SELF_CONTAINED: tuple[P, ...] = (
    P("artifacts", artifacts.build_artifacts),
    P("hash images", images.hash_images, after=(FED,)),
    P("build images", images.build_bases, after=("hash images",)),
    P("sbom", sbom.write_boms, after=("artifacts",)),
    P("assemble", assemble.assemble, after=("artifacts", "build images", "sbom")),
)
LOAD = P("load", load_images, after=("assemble",))
CHECK = P("build again", again.build_again, after=("assemble",))

PRUNE_IMAGES: tuple[P, ...] = (P("prune", prune_images),)


def self_contained(*, load: bool, check: bool) -> tuple[P, ...]:
    """Make the self-contained images; load them into the laptop's engine, and compare them with
    those of a second build.
    """
    return (*SELF_CONTAINED, *((LOAD,) if load else ()), *((CHECK,) if check else ()))


def pushing(to: Place) -> tuple[P, ...]:
    """Make the self-contained images, and push them to a registry."""
    return (*SELF_CONTAINED, P("push", partial(push.push, to=to), after=("assemble",)))


def tested(to: Place | None) -> tuple[P, ...]:
    """Make the self-contained images, run the tests that need no lab, and push the images to a
    registry if all of that succeeds. Tests come last: build tools such as Maven may replace or
    delete the outputs of artifacts for them, which the images are made from.
    """
    checked = (*SELF_CONTAINED, P("test", test.run_tests, after=("assemble",)))
    if to is None:
        return checked
    return (*checked, P("push", partial(push.push, to=to), after=("test",)))


def delivering(port: int) -> tuple[P, ...]:
    """Make the self-contained images, and let the machines pull them through ``port``."""
    return (
        P("connect", connect.reconnect, per="machine"),
        *SELF_CONTAINED,
        P(
            "deliver",
            partial(deliver.deliver, port=port),
            after=("assemble", "connect"),
        ),
    )


def exporting(kind: Kind, folder: Path, to: Place | None, *, dnsrr: bool = False) -> tuple[P, ...]:
    """Make the self-contained images, and write the lab for another tool."""
    work = partial(export_files, kind=kind, folder=folder, to=to, dnsrr=dnsrr)
    return (*SELF_CONTAINED, P("export", work, after=("assemble",)))


def deploying(target: Target, *, port: int, planned: bool) -> tuple[P, ...]:
    """Make the self-contained images, and deploy them as a stack to a Swarm. ``port``: as in
    ``delivering``, for the lab's own machines; ``planned``: change nothing, and find out what would
    change.
    """
    compare = partial(planning.plan, target=target, planned=planned)
    if target.machines:
        ready = partial(swarm_machines.ready_nodes, target=target)
        pull = partial(deliver.deliver, port=port)
        acting = (
            PORTS,
            P("nodes", ready, after=("connect",)),
            P("deliver", pull, after=("assemble", "nodes")),
        )
        connected = P("connect", connect.reconnect, per="machine")
        there = (connected, *SELF_CONTAINED, *(() if planned else acting))
        before = ("connect", "assemble") if planned else ("deliver",)
    else:
        check = partial(pushed.check_pushed, target=target)
        there = (*SELF_CONTAINED, P("pushed", check, after=("assemble",)))
        before = ("pushed",)
    first = (*there, P("plan", compare, after=before))
    if planned:
        return first
    return (
        *first,
        P("rotate", partial(rotate.rotate, target=target), after=("plan",)),
        P("roll out", partial(rollout.roll_out, target=target), after=("rotate",)),
        P(
            "old versions",
            partial(rotate.remove_old_versions, target=target),
            after=("roll out",),
        ),
    )


def removing_stack(target: Target) -> tuple[P, ...]:
    """Take a stack out of a Swarm."""
    remove = partial(removal.remove_stack, target=target)
    if not target.machines:
        return (P("remove", remove),)
    connected = P("connect", connect.reconnect, per="machine")
    return (connected, P("remove", remove, after=("connect",)))


def building(services: Sequence[str]) -> tuple[P, ...]:
    """Build the images of these services on the laptop."""
    build = partial(images.build_services, services=services)
    return (
        P("artifacts", artifacts.build_artifacts),
        P("hash images", images.hash_images, after=(FED,)),
        P("build images", build, after=("hash images",)),
    )


def pulling(services: Sequence[str]) -> tuple[P, ...]:
    """Pull the images of these services on the laptop."""
    return (P("pull", partial(pull.pull_images, services=services)),)


def replacing(machine: str) -> tuple[P, ...]:
    """DEV for a lab whose ``machine`` is replaced by a new one. The old one is removed only after
    everything that can fail on the laptop has succeeded.
    """
    keep, remove = f"keep {machine}", f"remove {machine}"
    ready = ("doctor", "artifacts", "hash images", "assemble")
    first = (
        P(keep, partial(kept_data.keep_data, machine=machine), after=ready),
        P(remove, partial(kept_data.remove_machine, machine=machine), after=(keep,)),
    )
    return (*first, *_dev(removed=(remove,)))


def snapshot(name: str) -> tuple[P, ...]:
    """Save the whole lab as it is at one instant."""
    return (P("take", partial(take.take_snapshot, name=name)),)


def remove_snapshot(name: str) -> tuple[P, ...]:
    """Remove a snapshot."""
    return (P("remove", partial(take.remove_snapshot, name=name)),)


def restore(name: str) -> tuple[P, ...]:
    """Bring the lab back to a snapshot, whatever its present state. Everything that can fail on the
    laptop runs before the machines are removed; no sample data are loaded.
    """
    return _restoring(P("check", partial(restoring.check_snapshot, name=name)), name)


def dev_from(name: str) -> tuple[P, ...]:
    """Bring up a lab from a snapshot if no machine of the lab is left."""
    return _restoring(P("check", partial(restoring.check_new_lab, name=name)), name)


def _restoring(check: P, name: str) -> tuple[P, ...]:
    return (
        check,
        P("artifacts", artifacts.build_artifacts, after=("check",)),
        P("hash images", own.hash_images, after=("check", FED)),
        ASSEMBLE,
        P(
            "restore",
            partial(restoring.restore_machines, name=name),
            after=("artifacts", "hash images", "assemble"),
        ),
        # On all machines before any container starts: all data must be from one point in time.
        P("data", restoring.put_back, after=("restore",)),
        P("connect", connect.connect_restored, after=("restore",), per="machine"),
        P("secrets", secrets.recover_secrets, after=("connect",)),
        NETWORK,
        PORTS,
        IMAGES,
        # Data that an interrupted replacement kept is from a different point in time.
        _containers(data="data"),
        NAMES,
        PROOF,
        P("verify", verify.verify, after=("names", "proof", "ports")),
        *_observing(),
    )


def box_export(target: Path, base_url: str, *, sign: Path | None = None) -> tuple[P, ...]:
    """Export the lab's box for others."""
    work = partial(export.export_box, target=target, base_url=base_url, sign=sign)
    return (P("export", work),)


def box_import(source: str, *, signers: Path | None = None) -> tuple[P, ...]:
    """Import a box that others exported."""
    return (P("import", partial(imports.import_box, source=source, signers=signers)),)


def box_prune(*, plan: bool) -> tuple[P, ...]:
    """Remove the boxes that no lab uses."""
    return (P("prune", partial(prune.prune, plan=plan)),)
