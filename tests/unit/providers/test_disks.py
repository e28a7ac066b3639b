"""Disks from elsewhere are accepted only if they hold their own data."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from hashlab.providers.disks import fault_of_ovf, fault_of_qcow2, fault_of_vmdk


def qcow2(*, version: int = 3, backing: int = 0, features: int = 0) -> bytes:
    header = bytearray(512)
    header[:4] = b"QFI\xfb"
    header[4:8] = version.to_bytes(4, "big")
    header[8:16] = backing.to_bytes(8, "big")
    header[72:80] = features.to_bytes(8, "big")
    return bytes(header)


@pytest.mark.parametrize("head", [qcow2(), qcow2(version=2), qcow2(features=1), qcow2(features=8)])
def test_a_complete_qcow2_disk_is_accepted(head: bytes) -> None:
    assert fault_of_qcow2(head) == ""


@pytest.mark.parametrize(
    ("head", "why"),
    [
        (b"", "format qcow2"),
        (qcow2()[:100], "format qcow2"),
        (b"\0" * 512, "format qcow2"),
        (qcow2(version=1), "format qcow2"),
        (qcow2(backing=1024), "backing file"),
        (qcow2(version=2, backing=1024), "backing file"),
        (qcow2(features=4), "another file"),
        (qcow2(features=1 << 40), "another file"),
    ],
)
def test_a_disk_that_refers_to_other_files_is_refused(head: bytes, why: str) -> None:
    assert why in fault_of_qcow2(head)


@pytest.mark.skipif(shutil.which("qemu-img") is None, reason="qemu-img makes the disks")
def test_real_disks_are_distinguished(tmp_path: Path) -> None:
    def make(name: str, *words: str) -> bytes:
        command = ["qemu-img", "create", "-q", "-f", "qcow2", *words, str(tmp_path / name), "1M"]
        subprocess.run(command, check=True, cwd=tmp_path)
        return (tmp_path / name).read_bytes()

    (tmp_path / "raw").write_bytes(bytes(1 << 20))
    assert fault_of_qcow2(make("plain", "-o", "compression_type=zstd")) == ""
    assert "backing" in fault_of_qcow2(make("over", "-b", "raw", "-F", "raw"))
    assert "another" in fault_of_qcow2(make("apart", "-o", "data_file=raw,data_file_raw=on"))


PLAIN = """# Disk DescriptorFile
version=1
CID=1234abcd
parentCID=ffffffff
createType="streamOptimized"

# Extent description
RW 2048 SPARSE "box-disk1.vmdk"

ddb.adapterType = "lsilogic"
"""


def vmdk(text: str) -> bytes:
    header = bytearray(512)
    header[:4] = b"KDMV"
    header[28:36] = (1).to_bytes(8, "little")
    header[36:44] = (20).to_bytes(8, "little")
    return bytes(header) + text.encode().ljust(20 * 512, b"\0")


def test_a_complete_vmdk_disk_is_accepted() -> None:
    assert fault_of_vmdk(vmdk(PLAIN)) == ""


@pytest.mark.parametrize(
    ("head", "why"),
    [
        (PLAIN.encode(), "own data"),
        (b"KDMV" + bytes(508), "contain its description"),
        (vmdk(""), "another file"),
        (vmdk(PLAIN.replace("streamOptimized", "monolithicFlat")), "another file"),
        (vmdk(PLAIN.replace("SPARSE", "FLAT")), "another file"),
        (vmdk(PLAIN + 'RW 9 FLAT "/etc/shadow" 0\n'), "another file"),
        (vmdk(PLAIN.replace("ffffffff", "12345678")), "parent"),
        (vmdk(PLAIN + 'parentFileNameHint="/dev/sda"\n'), "parent"),
    ],
)
def test_a_vmdk_disk_that_refers_to_other_files_is_refused(head: bytes, why: str) -> None:
    assert why in fault_of_vmdk(head)


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        (b'<File ovf:href="box-disk001.vmdk" ovf:id="file1"/>', False),
        (b"<!-- by hand --><File ovf:href='a.vmdk'/>", False),
        (b'<File ovf:href="/etc/shadow"/>', True),
        (b'<File ovf:href="../other.vmdk"/>', True),
        (b'<File ovf:href="https://example.org/a.vmdk"/>', True),
        (b'<File ovf:href=""/>', True),
        (b'<!DOCTYPE x [<!ENTITY a "b">]>', True),
        (b'<File ovf:href="a&#47;b"/>', True),
        (b"\xff", True),
    ],
)
def test_a_machines_description_may_only_name_files_in_its_folder(text: bytes, fault: bool) -> None:
    assert bool(fault_of_ovf(text)) is fault
