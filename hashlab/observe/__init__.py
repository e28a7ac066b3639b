"""The process that keeps a lab's log store running and feeds it.

``collecting`` runs the store and a feed for each machine; ``saying`` writes down how they are.
"""
