"""Compose files, what Compose's own client makes of each, and the comparison with hashlab."""
