"""`hashlab export compose FOLDER`, `hashlab export stack FOLDER`: write the lab for other tools."""

from __future__ import annotations

from hashlab.commands import RUN_EXITS, TYPE_CHECKING, Argument, Command, Option

if TYPE_CHECKING:
    from hashlab.run.execution import Options

COMMAND = Command(
    "Write the lab for docker compose or docker stack deploy.",
    text="Makes self-contained images, and writes FOLDER/compose.yaml or FOLDER/stack.yaml: "
    "without builds and mounts of the laptop, each image by its digest. Configs are copied to "
    "FOLDER/configs. Secrets are not written: put them into FOLDER/secrets. Everything of the lab "
    "that Docker Swarm cannot do is noted by name. Without --registry, a stack has the images that "
    "`hashlab push` brings to each machine, and a Compose file those that `hashlab images --load` "
    "loads.",
    examples=[
        (
            "For anybody's docker compose",
            "hashlab export compose out --registry registry.example.org/team",
        ),
        ("For a Swarm", "hashlab export stack out --registry registry.example.org/team"),
        ("For the lab's own machines without IPVS", "hashlab export stack out --dnsrr"),
    ],
    exits=RUN_EXITS,
    arguments=[
        Argument("kind", "compose or stack.", choices=("compose", "stack")),
        Argument("folder", "Folder to write, made if it is missing.", complete="folder"),
    ],
    options=[
        Option(
            "registry",
            "HOST[:PORT][/PATH] to which `hashlab push` brought the images.",
            value="REGISTRY",
        ),
        Option(
            "dnsrr",
            "Of a stack: no virtual addresses, and ports on the node itself, for kernels without "
            "IPVS.",
        ),
    ],
)


def run(options: Options, *, kind: str, folder: str, registry: str, dnsrr: bool) -> int:
    """Make the images, and write the file."""
    from pathlib import Path

    from hashlab.errors import HashlabError
    from hashlab.phases.export.export import kind_of
    from hashlab.phases.selfcontained.deliver import DEFAULT_PORT
    from hashlab.phases.selfcontained.push import place
    from hashlab.run import execution, workflows

    try:
        chosen = kind_of(kind)
        own = f"127.0.0.1:{DEFAULT_PORT}" if chosen == "stack" else ""
        to = place(registry or own) if registry or own else None
    except HashlabError as error:
        return execution.fail(error, options)
    workflow = workflows.exporting(chosen, Path(folder).absolute(), to, dnsrr=dnsrr)
    return execution.run("export", workflow, options)
