"""Decisions of `hashlab watch`: which changes count, and when a refresh may start."""
