"""Run configurations of IntelliJ IDEA and its relatives: files of the folder .run."""

from __future__ import annotations

import re
from pathlib import PurePath
from xml.sax.saxutils import quoteattr

from hashlab.config.model import DebuggerKind

# PyCharm attaches to debugpy by "Attach to DAP", whose file format is not documented.
_BY_HAND = "debugpy"
_PORT = re.compile(r'(<option name="PORT" value="|<configuration [^>]*\bport=")[0-9]+(?=")')
_CONFIGURATION = """\
<component name="ProjectRunConfigurationManager">
  <configuration default="false" name={name} {attributes}>
{options}    <method v="2" />
  </configuration>
</component>
"""
_REMOTE_JVM = """\
    <option name="USE_SOCKET_TRANSPORT" value="true" />
    <option name="SERVER_MODE" value="false" />
    <option name="SHMEM_ADDRESS" />
    <option name="HOST" value="127.0.0.1" />
    <option name="PORT" value="{port}" />
    <option name="AUTO_RESTART" value="false" />
"""
_LEAVE = """\
    <option name="disconnectOption" value="LEAVE" />
    <disconnect value="LEAVE" />
"""


def file(service: str) -> PurePath:
    """Return the file of a service's configuration, relative to the opened folder."""
    return PurePath(".run", f"hashlab-{service}.run.xml")


def configuration(name: str, kind: DebuggerKind, port: int) -> str:
    """Return the file's text; "" for a debugger whose configuration has no documented file."""
    if kind == _BY_HAND:
        return ""
    attributes, options = {
        "jdwp": ('type="Remote"', _REMOTE_JVM.format(port=port)),
        "inspector": (
            f'type="ChromiumRemoteDebugType" factoryName="Chromium Remote" host="127.0.0.1" '
            f'port="{port}"',
            "",
        ),
        "delve": (
            f'type="GoRemoteDebugConfigurationType" factoryName="Go Remote" host="127.0.0.1" '
            f'port="{port}"',
            _LEAVE,
        ),
    }[kind]
    return _CONFIGURATION.format(name=quoteattr(name), attributes=attributes, options=options)


def with_port(text: str, port: int) -> str:
    """Return the text of an existing file with another port. Raises ValueError without one."""
    changed, count = _PORT.subn(rf"\g<1>{port}", text)
    if count != 1:
        raise ValueError("it has no port that hashlab could change")
    return changed
