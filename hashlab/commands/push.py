"""`hashlab push [REGISTRY]`: bring self-contained images to a registry, or to the machines."""

from __future__ import annotations

from hashlab.commands import RUN_EXITS, TYPE_CHECKING, Argument, Command, Option

if TYPE_CHECKING:
    from hashlab.run.execution import Options

COMMAND = Command(
    "Push self-contained images to a registry.",
    text="Makes the images as `hashlab images` does. Only layers that the registry lacks are sent, "
    "and a tag moves only after all layers of all images are there. The password comes from "
    "Docker's own store (docker login), or from HASHLAB_REGISTRY_USER and "
    "HASHLAB_REGISTRY_PASSWORD. Without REGISTRY, the lab's machines pull the images from the "
    "laptop by digest, through SSH; nothing listens on the laptop's network.",
    examples=[
        ("Push to a registry", "hashlab push registry.example.org/team"),
        ("Bring the images to the lab's machines", "hashlab push"),
    ],
    exits=RUN_EXITS,
    arguments=[
        Argument("registry", "HOST[:PORT][/PATH] of the registry.", required=False),
    ],
    options=[
        Option(
            "port",
            "Without REGISTRY: the port of the machines' 127.0.0.1, by default 5000.",
            value="PORT",
        )
    ],
)


def run(options: Options, *, registry: str, port: str) -> int:
    """Make the images, and push them."""
    from hashlab.errors import HashlabError
    from hashlab.phases.selfcontained.deliver import port_of
    from hashlab.phases.selfcontained.push import place
    from hashlab.run import execution, workflows

    try:
        if registry:
            workflow = workflows.pushing(place(registry))
        else:
            workflow = workflows.delivering(port_of(port))
    except HashlabError as error:
        return execution.fail(error, options)
    return execution.run("push", workflow, options)
