"""The workflows as data: which phases, and what each waits for."""

from __future__ import annotations

from hashlab.phases import (
    artifacts,
    box,
    containers,
    destroy,
    doctor,
    images,
    machines,
    network,
    proof,
    secrets,
    staleness,
    steps,
)
from hashlab.phases.world import World
from hashlab.pipeline import Phase

P = Phase[World]

INIT_BOX: tuple[P, ...] = (
    P("recipe", box.check_recipe),
    P("doctor", doctor.doctor_building),
    P("base", box.make_base, after=("doctor", "recipe")),
    P("system", box.build_system, after=("base",)),
    P("images", box.build_box_images, after=("base",)),
    P("store", box.put_images_inside, after=("system", "images")),
    P("register", box.register, after=("store",)),
)

# What runs on machines that are connected, in a new lab as in a running one.
APPLICATION: tuple[P, ...] = (
    P("secrets", secrets.make_secrets, after=("connect",)),
    P("images", images.bring_images, after=("connect", "hash images"), per="machine"),
    P(
        "containers",
        containers.start_containers,
        after=("network", "images", "artifacts", "secrets"),
    ),
    P("proof", proof.prove, after=("containers",)),
)

DEV: tuple[P, ...] = (
    P("doctor", doctor.doctor),
    P("artifacts", artifacts.build_artifacts, after=("doctor",)),
    P("hash images", images.hash_images, after=("doctor",)),
    P("prepare", machines.prepare, after=("doctor",)),
    P("disks", machines.make_disks, after=("prepare",)),
    P("boot", machines.boot, after=("prepare",)),
    P("connect", machines.connect, after=("prepare",), per="machine"),
    P("network", network.join_network, after=("connect",)),
    *APPLICATION,
    P("seed", steps.seed, after=("containers",)),
    P("verify", steps.verify, after=("seed", "proof")),
)

REFRESH: tuple[P, ...] = (
    P("artifacts", artifacts.build_artifacts),
    P("hash images", images.hash_images),
    P("connect", machines.reconnect, per="machine"),
    P("recipe", staleness.check_recipe_of_machines, after=("connect", "hash images")),
    P("network", network.join_network, after=("connect",)),
    *APPLICATION,
    P("seed", steps.seed_after_change, after=("containers",)),
    P("verify", steps.verify_after_change, after=("seed", "proof")),
)

SEED: tuple[P, ...] = (
    P("connect", machines.reconnect, per="machine"),
    P("seed", steps.seed, after=("connect",)),
)

VERIFY: tuple[P, ...] = (
    P("hash images", images.hash_images),
    P("connect", machines.reconnect, per="machine"),
    P("proof", proof.prove, after=("connect", "hash images")),
    P("verify", steps.verify, after=("connect",)),
)

DESTROY: tuple[P, ...] = (
    P("machines", destroy.destroy_machines),
    P("leftovers", destroy.discard_leftovers, after=("machines",)),
    P("local state", destroy.forget, after=("leftovers",)),
    P("look", destroy.look, after=("local state",)),
)

DESTROY_BOX: tuple[P, ...] = (
    *DESTROY,
    P("box", destroy.destroy_box, after=("look",)),
)
