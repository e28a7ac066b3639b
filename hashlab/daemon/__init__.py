"""The warm process of a lab: client, listener, server."""
