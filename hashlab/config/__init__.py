"""Reads hashlab.toml and compose.yaml into frozen values: `load.load_lab` gives a `model.Lab`."""
