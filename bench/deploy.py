"""The work of playbook.yml for pyinfra, which runs this file; BENCH_PLAN names its values."""

import json
import os
from pathlib import Path

from pyinfra import host
from pyinfra.operations import files, server

plan = json.loads(Path(os.environ["BENCH_PLAN"]).read_text())
payload, destination = plan["payload"], plan["destination"]
mine = plan["machines"][host.name]
changed: dict[str, list[object]] = {}

for folder in mine["folders"]:
    files.directory(
        name=f"Make the folder {folder}", path=f"{destination}/{folder}", mode="755", _sudo=True
    )
for jar in mine["jars"]:
    copied = files.put(
        name=f"Copy {jar}",
        src=f"{payload}/{jar}",
        dest=f"{destination}/{jar}",
        mode="644",
        _sudo=True,
    )
    changed.setdefault(jar.split("/")[0], []).append(copied)
if mine["pages"]:
    files.sync(
        name="Copy the static files", src=f"{payload}/ui", dest=f"{destination}/ui", _sudo=True
    )
for service, container in mine["containers"].items():
    copies = changed.get(service, [])
    condition = {"_if": lambda copies=copies: any(one.did_change() for one in copies)}
    server.shell(
        name=f"Restart {service}",
        commands=[f"docker restart --time 2 {container}"],
        **(condition if plan["only_changed"] else {}),
    )
