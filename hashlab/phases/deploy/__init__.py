"""Deployments to a Docker Swarm: what changes, secrets by version, the roll-out, and removal."""
