"""`hashlab forward SERVICE:PORT`: bring ports of services to the laptop."""

from __future__ import annotations

from hashlab.commands import JSON, READING, TYPE_CHECKING, Argument, Command

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hashlab.run.execution import Options

COMMAND = Command(
    "Bring ports of services to 127.0.0.1 while it runs.",
    text="For database clients and the like, without a published port. PORT is the container's; "
    "without it, all TCP ports that the service or its image exposes are brought. LAPTOPPORT is "
    "the laptop's, by default the same; if it is not free, another is taken and reported. "
    "Connections reach the container that runs at that moment, also after a refresh. A machine "
    "that goes away is reported, and its ports follow when it is back. Ctrl-C ends it with exit "
    "code 0.",
    examples=[
        ("Connect to a database", "hashlab forward postgres"),
        ("Choose the laptop's port", "hashlab forward postgres:5432=15432"),
        ("Bring ports of two services", "hashlab forward postgres rabbitmq:15672"),
    ],
    exits=(0, 2, 3, 4),
    arguments=[
        Argument(
            "service",
            "SERVICE, SERVICE:PORT or SERVICE:PORT=LAPTOPPORT.",
            complete="service",
            many=True,
        )
    ],
    common=(*READING, JSON),
)


def run(options: Options, *, service: Sequence[str]) -> int:
    """Forward ports; it changes nothing, so it needs no lock."""
    from hashlab.run.forwarding import forward

    return forward(options, service)
