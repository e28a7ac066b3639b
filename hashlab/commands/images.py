"""`hashlab images`: make a self-contained image of each service."""

from __future__ import annotations

from hashlab.commands import RUN_EXITS, TYPE_CHECKING, Command, Option

if TYPE_CHECKING:
    from hashlab.run.execution import Options

COMMAND = Command(
    "Make a self-contained image of each service.",
    text="Each image holds what its service runs with: artifacts, mounted files of the laptop, "
    "synchronised files, command and health check. Secrets, configs and variables of the "
    "environment are not inside. It needs no machine. The images are an OCI layout in "
    ".hashlab/oci, each with its bill of materials. The same files give the same digests, on every "
    "laptop. --check builds what Dockerfiles make a second time, from nothing, and names what "
    "differs; then the exit code is 4.",
    examples=[
        ("Make the images", "hashlab images"),
        ("Print the digest of each image", "hashlab images --json | jq '.images[].digest'"),
        ("Find out what a second build would change", "hashlab images --check"),
        ("Use one without a lab", "hashlab images --load && docker run NAME"),
    ],
    exits=RUN_EXITS,
    options=[
        Option("load", "Load the images into the laptop's engine."),
        Option("check", "Build everything again, and compare."),
    ],
)


def run(options: Options, *, load: bool, check: bool) -> int:
    """Make the images, and show them."""
    from hashlab.report import show_images
    from hashlab.run import execution, workflows

    workflow = workflows.self_contained(load=load, check=check)
    return execution.run("images", workflow, options, show=show_images)
