"""Writes the lab for other tools: as a plain Compose file, and as a stack for Docker Swarm."""
