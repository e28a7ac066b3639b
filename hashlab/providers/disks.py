"""Check that disks from elsewhere hold their own data and do not refer to other files."""

from __future__ import annotations

import re

QCOW2 = b"QFI\xfb"
VMDK = b"KDMV"
# The feature bits of a qcow2 header that are accepted: only "dirty" and a kind of compression.
QCOW2_KNOWN_FEATURES = 1 << 0 | 1 << 3
SECTOR = 512
EMBEDDED = ("streamOptimized", "monolithicSparse")
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,254}")
# An XML text in which a search for a link could miss one.
DISGUISED = re.compile(r"<!|&(?!(?:amp|lt|gt|quot|apos);)")


def fault_of_qcow2(head: bytes) -> str:
    """Return why a disk is not a complete qcow2 image; "" if it is. See qemu's
    docs/interop/qcow2.
    """
    version = int.from_bytes(head[4:8], "big")
    if len(head) < 104 or head[:4] != QCOW2 or version not in (2, 3):
        return "is not a disk in the format qcow2"
    if int.from_bytes(head[8:16], "big") or int.from_bytes(head[16:20], "big"):
        return "has a backing file: it would show a file of this laptop"
    features = int.from_bytes(head[72:80], "big") if version == 3 else 0
    if features & ~QCOW2_KNOWN_FEATURES:
        return "keeps its data in another file or in an unknown format"
    return ""


def fault_of_vmdk(head: bytes) -> str:
    """Return why a disk is not a complete VMDK image with its description inside; "" if it is."""
    if head[:4] != VMDK:
        return "is not a disk that holds its own data"
    start = int.from_bytes(head[28:36], "little") * SECTOR
    length = int.from_bytes(head[36:44], "little") * SECTOR
    if not 0 < start < start + length <= len(head):
        return "does not contain its description"
    text = head[start : start + length].split(b"\0")[0].decode("latin-1")
    kinds = re.findall(r'^\s*createType\s*=\s*"(.*)"\s*$', text, re.MULTILINE)
    extents = re.findall(r"^\s*(?:RW|RDONLY|NOACCESS)\s+\d+\s+(\w+)", text, re.MULTILINE)
    if len(kinds) != 1 or kinds[0] not in EMBEDDED or extents != ["SPARSE"]:
        return "keeps its data in another file"
    parent = re.findall(r"^\s*parentCID\s*=\s*(\S+)", text, re.MULTILINE | re.IGNORECASE)
    if "parentfilenamehint" in text.lower() or any(cid.lower() != "ffffffff" for cid in parent):
        return "has a parent: it would show a file of this laptop"
    return ""


def fault_of_ovf(text: bytes) -> str:
    """Return why a machine's description is refused: it names a file outside its own folder, or
    hides one. "" if it is accepted.
    """
    try:
        described = text.decode("utf-8")
    except UnicodeDecodeError:
        return "is not UTF-8"
    if DISGUISED.search(described.replace("<!--", "")):
        return "declares entities of its own"
    for name in re.findall(r"href\s*=\s*[\"']([^\"']*)[\"']", described):
        if not NAME.fullmatch(name):
            return f"names {name!r}, which is not in the same folder"
    return ""
