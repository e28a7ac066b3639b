"""The process that keeps a lab's stores running and feeds them.

``collecting`` decides which stores run, ``keeping`` runs one of them. ``feeding`` and ``marks``
fill the log store; ``metering``, ``exporting``, ``alerting`` and ``annotating`` work with the
metrics store. ``saying`` writes down how all of them are.
"""
