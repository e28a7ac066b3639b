"""Measures machines and containers, collects the metrics of services, and finds what is wrong.

``sampler`` and ``scraper`` run programs on machines by ``streaming``; ``sampling`` and ``scraping``
read what these print. ``exposition`` writes samples for the store, ``rules`` are questions to it,
and ``alerting`` decides which of them fire.
"""
