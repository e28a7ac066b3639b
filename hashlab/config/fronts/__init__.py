"""Fronts of services: a HAProxy that has a service's name and ports, and shares what arrives there
among the replicas. ``[services.NAME] front = true`` in hashlab.toml asks for one.
"""
