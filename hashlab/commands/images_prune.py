"""`hashlab images prune`: remove what the newest images do not need."""

from __future__ import annotations

from hashlab.commands import RUN_EXITS, TYPE_CHECKING, Command

if TYPE_CHECKING:
    from hashlab.run.execution import Options

COMMAND = Command(
    "Remove layers of older self-contained images.",
    text="The images that `hashlab images` made last stay, and so do images in engines and "
    "registries.",
    examples=[("Free the space of older images", "hashlab images prune")],
    exits=RUN_EXITS,
)


def run(options: Options) -> int:
    """Remove what is left over."""
    from hashlab.run import execution, workflows

    return execution.run("images-prune", workflows.PRUNE_IMAGES, options)
