"""Read the Compose file: one module per group of keys, one table per kind of mapping."""
