"""Writes Compose's answer for each case: ``python tests/compose/record.py CLIENT [CASE...]``.

CLIENT is a ``docker-compose`` program; it needs no engine. Only answers change, and the file
CLIENT, which says whose answers these are.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from compose.oracle import EXAMPLES, HERE, REFUSED, Case, cases


def answer(client: str, case: Case) -> dict[str, object]:
    """Return what the client makes of a case, with the folder written as LAB."""
    environ = {"PATH": os.environ["PATH"], **case.environ}
    done = subprocess.run(
        [client, "config", "--format", "json"],
        cwd=case.folder,
        env=environ,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        return {REFUSED: done.stderr.strip().splitlines()[-1].replace(str(case.folder), "LAB")}
    text = done.stdout.replace(str(case.folder), "LAB")
    return dict(json.loads(text.replace(str(case.folder.parent), "LAB/..")))


def main() -> None:
    """Record the answers for all cases, or for those named."""
    client, *names = sys.argv[1:]
    for case in cases():
        if not names or case.name in names:
            text = json.dumps(answer(client, case), indent=2, sort_keys=True)
            case.answer.write_text(text + "\n", encoding="utf-8")
    version = subprocess.run(
        [client, "version", "--short"], capture_output=True, text=True, check=True
    )
    (HERE / "CLIENT").write_text(f"docker compose {version.stdout.strip()}\n", encoding="utf-8")
    print(f"{len(names) or len(cases())} answers of {version.stdout.strip()}, and {EXAMPLES.name}")


if __name__ == "__main__":
    main()
