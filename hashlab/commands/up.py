"""`hashlab up`: the name that Compose gives `hashlab dev`."""

from __future__ import annotations

from hashlab.commands import RUN_EXITS, Command, dev

COMMAND = Command(
    "Boot the machines and start the application: the same as dev.",
    text="Does what `hashlab dev` does, with the same options.",
    examples=[("Boot the lab and start its services", "hashlab up")],
    exits=RUN_EXITS,
    options=dev.COMMAND.own_options,
    compose="It ends when all services are healthy, as `docker compose up --wait` does, and does "
    "not show their logs. It builds images whose files changed, and names no services.",
)
run = dev.run
