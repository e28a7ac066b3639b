"""One run of a command: its workflow, its lab and provider, its lock, its record."""
