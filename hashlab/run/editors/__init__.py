"""The attach configurations of editors: made from a service's debugger, and put into their files.

A file that exists keeps every byte but those of hashlab's own entry.
"""
