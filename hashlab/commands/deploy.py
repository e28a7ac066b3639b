"""`hashlab deploy --to swarm`: run the lab's services as a stack of a Docker Swarm."""

from __future__ import annotations

from hashlab.commands import RUN_EXITS, TYPE_CHECKING, Command, Option

if TYPE_CHECKING:
    from hashlab.phases.deploy.target import Target
    from hashlab.run.execution import Options

PLACES = ("swarm", "machines")

COMMAND = Command(
    "Run the lab's services as a stack of a Docker Swarm.",
    text="Makes self-contained images, and deploys them by digest. --to swarm takes them from a "
    "registry, to which `hashlab push REGISTRY` brought them, and the Swarm from a Docker context. "
    "--to machines is a rehearsal on the lab's own machines, which pull the images from the "
    "laptop; `hashlab down` makes room for it. Services change one container after another. A new "
    "version that does not become healthy is rolled back, and its last lines are shown; then the "
    "exit code is 4. Secrets and configs are new objects of the Swarm whenever their content "
    "changes. The command ends when every service runs its new version.",
    examples=[
        (
            "Show what would change",
            "hashlab deploy --to swarm --context prod --registry registry.example.org/team --plan",
        ),
        (
            "Deploy",
            "hashlab deploy --to swarm --context prod --registry registry.example.org/team",
        ),
        ("Rehearse it on the lab's machines", "hashlab down && hashlab deploy --to machines"),
        ("Remove the stack; its volumes stay", "hashlab deploy --to machines --remove"),
    ],
    exits=RUN_EXITS,
    options=[
        Option("to", "swarm, or machines.", value="PLACE", choices=PLACES),
        Option(
            "registry",
            "HOST[:PORT][/PATH] to which `hashlab push` brought the images.",
            value="REGISTRY",
        ),
        Option(
            "context",
            "Docker context of a manager of the Swarm, by default the current one.",
            value="NAME",
        ),
        Option("stack", "Name of the stack, by default that of the lab.", value="NAME"),
        Option(
            "secrets",
            "Folder with a file for each secret that is not that of the lab.",
            value="FOLDER",
            complete="folder",
        ),
        Option(
            "dnsrr",
            "No virtual addresses, and ports on the node itself, for kernels without IPVS; with "
            "--to machines this is found out.",
        ),
        Option(
            "port",
            "With --to machines: the port of the machines' 127.0.0.1, by default 5000.",
            value="PORT",
        ),
        Option("plan", "Change nothing; show what would change."),
        Option("remove", "Remove the stack. Its volumes stay."),
    ],
)


def run(
    options: Options,
    *,
    to: str,
    registry: str,
    context: str,
    stack: str,
    secrets: str,
    dnsrr: bool,
    port: str,
    plan: bool,
    remove: bool,
) -> int:
    """Deploy, plan or remove."""
    from dataclasses import replace
    from pathlib import Path

    from hashlab.documents.deployment import Deployment
    from hashlab.errors import HashlabError, UsageError
    from hashlab.phases.selfcontained.deliver import port_of
    from hashlab.report import show_deployment
    from hashlab.run import execution, workflows

    try:
        if plan and remove:
            raise UsageError("--plan and --remove exclude each other", next_step="leave one out")
        target = _target(to, registry, context, stack, removing=remove, port=port_of(port))
        folder = Path(secrets).absolute() if secrets else None
        if folder is not None and not folder.is_dir():
            raise UsageError(f"--secrets {secrets} is not a folder", next_step="make it first")
    except HashlabError as error:
        return execution.fail(error, options)
    target = replace(target, secrets=folder, dnsrr=dnsrr)
    if remove:
        return execution.run("deploy", workflows.removing_stack(target), options)
    workflow = workflows.deploying(target, port=port_of(port), planned=plan)
    return execution.run("deploy", workflow, options, show=show_deployment, document_of=Deployment)


def _target(
    to: str, registry: str, context: str, stack: str, *, removing: bool, port: int
) -> Target:
    """Return what the options name. Raises UsageError for options that do not fit together."""
    from hashlab.errors import UsageError
    from hashlab.phases.deploy.target import Target, checked_stack
    from hashlab.phases.selfcontained.push import Place, place

    if to not in PLACES:
        what = f"hashlab deploys to {' or '.join(PLACES)}, not {to!r}" if to else "--to is missing"
        next_step = "hashlab deploy --to swarm --registry REGISTRY, or hashlab deploy --to machines"
        raise UsageError(what, next_step=next_step)
    own = Place(f"127.0.0.1:{port}")
    if to == "machines":
        if context or registry:
            raise UsageError(
                "--context and --registry belong to --to swarm",
                next_step="hashlab deploy --to machines",
            )
        return Target(own, machines=True, stack=checked_stack(stack))
    if not registry and not removing:
        raise UsageError(
            "a Swarm pulls its images from a registry",
            next_step="hashlab push REGISTRY, then hashlab deploy --to swarm --registry REGISTRY",
        )
    images = place(registry) if registry else own
    return Target(images, context=context, stack=checked_stack(stack))
