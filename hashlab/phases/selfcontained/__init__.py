"""Self-contained images: one for each service, with everything that the service runs with."""
