"""Entry point of console scripts that were installed before ``hashlab.cli`` existed."""

from hashlab.cli.main import main

__all__ = ["main"]
