"""The folder .hashlab: its place, its owner, and how its files are read and written."""
