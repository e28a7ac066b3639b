"""What `hashlab watch` decides: which changes count, and when a refresh may start."""
