"""hashlab: your Compose file on three real machines, and back in seconds."""

__version__ = "0.1.0"
