"""Snapshots of the whole lab: taken, listed, restored, removed."""
