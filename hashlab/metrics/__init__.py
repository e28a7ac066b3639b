"""Measures machines and containers.

``sampling`` reads what programs/sample.sh prints; ``sampler`` runs it on each machine.
"""
