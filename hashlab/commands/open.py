"""`hashlab open SERVICE`: open the address of a port in the browser."""

from __future__ import annotations

import sys

from hashlab.commands import READING, TYPE_CHECKING, Argument, Command, Option

if TYPE_CHECKING:
    from hashlab.run.execution import Options

COMMAND = Command(
    "Open the address of a service in the browser.",
    text="Takes a published port, or one that `hashlab forward` forwards now, and prints the "
    "address. Without a service, it is the lab's first, before all others the port with the id "
    "web. Without a terminal or a desktop, the address is only printed.",
    examples=[
        ("Open the application", "hashlab open"),
        ("Open the page of a forwarded port", "hashlab open rabbitmq:15672"),
        ("Use the address in a script", "curl $(hashlab open web --print)"),
    ],
    exits=(0, 2, 3, 4, 130),
    arguments=[Argument("service", "SERVICE or SERVICE:PORT.", complete="service", required=False)],
    options=[Option("print", "Only print the address.", key="only_print")],
    common=READING,
)


def run(options: Options, *, service: str, only_print: bool) -> int:
    """Print an address, and open it; it changes nothing, so it needs no lock."""
    import os

    from hashlab.errors import ExitCode, HashlabError
    from hashlab.phases.opening import is_for_browsers
    from hashlab.run import execution
    from hashlab.run.desktop import open_address, opener
    from hashlab.run.forwarding import find_address
    from hashlab.run.openssh import on_terminal

    try:
        address = find_address(options, service)
    except HashlabError as error:
        return execution.fail(error, options)
    print(address, flush=True)
    program = None if only_print or not on_terminal() else opener(os.environ)
    if program is None:
        return ExitCode.OK
    if not is_for_browsers(address):
        print("this port is not one for a browser", file=sys.stderr)
    elif not open_address(program, address):
        print(f"{program} is not installed, so no browser was opened", file=sys.stderr)
    return ExitCode.OK
