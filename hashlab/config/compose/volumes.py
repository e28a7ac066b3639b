"""Read the volumes of the top level: their names, options, and those that exist already."""

from __future__ import annotations

from hashlab.config.compose.mounts import VOLUME_NAME, on_laptop
from hashlab.config.compose.scalars import boolean, texts
from hashlab.config.model import Volume
from hashlab.config.nodes import Node
from hashlab.config.readers import Context, Draft, Table, matching, one_of, table
from hashlab.config.report import Wrong

_name = matching(
    VOLUME_NAME.pattern,
    "'{value}' is not a valid name of a volume",
    "Use letters, digits, '_', '.' and '-', at most 200 characters.",
)
EXTERNAL_KEYS = Table(noun="external", readers={"name": _name}, required=("name",))


def _external(node: Node, context: Context) -> bool | str:
    """Read whether a volume exists already. The older form is a mapping with its name."""
    if isinstance(node.value, dict):
        return str(table(EXTERNAL_KEYS)(node, context).get("name", ""))
    return boolean(node, context)


VOLUME_KEYS = Table(
    noun="a volume",
    readers={
        "driver": one_of("local"),
        "driver_opts": texts,
        "external": _external,
        "labels": texts,
        "name": _name,
    },
)


def volume(node: Node, context: Context) -> Draft:
    """Read one volume of the top level."""
    draft = table(VOLUME_KEYS)(node, context)
    if draft.get("external"):
        for key in ("driver", "driver_opts", "labels"):
            if draft.get(key):
                message = f"'external' and '{key}' of a volume exclude each other"
                raise Wrong(draft.line_of(key), message, "An external volume exists; remove it.")
    options = dict(draft.get("driver_opts", ()))
    device = options.get("device", "")
    if options.get("o") == "bind" and on_laptop(device, draft.line_of("driver_opts"), context):
        message = f"the volume is the folder '{device}' of the laptop, which machines do not have"
        hint = f"Mount the folder itself in the service ({device}:/path): it is uploaded."
        raise Wrong(draft.line_of("driver_opts"), message, hint)
    return draft


def volume_of(key: str, draft: Draft, lab: str) -> Volume:
    """Return the volume of a draft without problems."""
    external = draft.get("external", False)
    older = external if isinstance(external, str) else ""
    default = key if external else f"{lab}_{key}"
    return Volume(
        key,
        draft.get("name") or older or default,
        external=bool(external),
        driver=draft.get("driver", ""),
        **draft.pick("driver_opts", "labels"),
    )
