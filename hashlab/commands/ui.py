"""`hashlab ui`: show the lab on a live page in the browser."""

from __future__ import annotations

from hashlab.commands import READING, TYPE_CHECKING, Command, Option

if TYPE_CHECKING:
    from hashlab.run.execution import Options

COMMAND = Command(
    "Show the lab on a live page in the browser, until Ctrl-C.",
    text="The page shows machines, services, their connections, logs, runs and events, and can "
    "refresh, restart, snapshot and restore. It is served on 127.0.0.1, as long as this command "
    "runs, to the browser that first opens the printed address. A run that the page has started "
    "goes on after Ctrl-C.",
    examples=[
        ("Open the page", "hashlab ui"),
        ("Print the address and open no browser", "hashlab ui --no-open"),
        (
            "Serve a lab of another computer",
            "ssh -L 8800:127.0.0.1:8800 HOST hashlab ui --port 8800",
        ),
    ],
    exits=(0, 2, 3, 4, 130),
    options=[
        Option("port", "Port of 127.0.0.1, by default a free one.", value="PORT"),
        Option("no-open", "Only print the address.", key="no_open"),
    ],
    common=READING,
)


def run(options: Options, *, port: str, no_open: bool) -> int:
    """Serve the page; it changes nothing, so it needs no lock."""
    from hashlab.ui.serving import serve_page

    return serve_page(options, port=port, opens=not no_open)
