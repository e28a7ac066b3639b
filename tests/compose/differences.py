"""The known differences between hashlab's reading of a case and Compose's, each with its reason.

``*`` in a path stands for any name. A case with a listed difference may agree, so that a change of
hashlab and of this table need not be one commit; the contract tests report entries that have gone.
"""

from __future__ import annotations

from fnmatch import fnmatchcase

# In every case: path → reason.
EVERYWHERE = {
    "services.*.profiles": "a lab has only the services of the active profiles",
}

# In one case: its name → paths → reason. "refused": only one of the two accepts the file.
CASES: dict[str, dict[str, str]] = {
    "build-of-a-remote-context": {
        "refused": "a build context is a folder of the laptop",
    },
    "deploy-global": {
        "services.agent": "a global service is one service per machine",
        "services.agent.one": "a global service is one service per machine",
        "services.agent.three": "a global service is one service per machine",
        "services.agent.two": "a global service is one service per machine",
    },
    "deploy-of-a-stack": {
        "services.web.deploy.constraints": "node.role says nothing about a lab's machines",
    },
    "empty-compose": {
        "refused": "a lab needs a service",
    },
    "keys-that-are-noted": {
        "services.web.platform": "images are built for the laptop's platform",
    },
    "limits-more-of-version-2": {
        "refused": "memswap_limit without mem_limit does nothing, so it is refused",
    },
    "ports-ipv6": {
        "services.web.ports*": "machines have no IPv6 address",
    },
    "ports-long": {
        "refused": "a range of machine ports for one port is not supported",
    },
    "ports-one-of-a-range": {
        "refused": "a range of machine ports for one port is not supported",
    },
    "pre-start-steps": {
        "services.web.pre_start": "Compose repeats in each step what it has of its service",
    },
}


def reason(case: str, path: str) -> str | None:
    """Return why hashlab and Compose differ at a path of a case; None if they should not."""
    listed = {**EVERYWHERE, **CASES.get(case, {})}
    return next((why for known, why in listed.items() if fnmatchcase(path, known)), None)


def gone(found: dict[str, list[str]]) -> list[str]:
    """Return the entries that no difference needs any more. ``found``: paths by case."""
    all_paths = [path for paths in found.values() for path in paths]
    unused = [known for known in EVERYWHERE if not _any(all_paths, known)]
    return unused + [
        f"{case}: {known}"
        for case, listed in CASES.items()
        for known in listed
        if not _any(found.get(case, []), known)
    ]


def _any(paths: list[str], known: str) -> bool:
    return any(fnmatchcase(path, known) for path in paths)
