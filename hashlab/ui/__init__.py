"""The live view of a lab: `hashlab ui` serves it as a page.

``feed`` holds what is shown, ``collecting`` fills it while somebody looks, ``runs`` follows the run
that goes on, ``guard`` decides who may look, ``server`` answers the browser, ``actions`` does what
its buttons say.
"""
