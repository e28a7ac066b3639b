"""Asks the running lab for its page and its greeting; the last line says what it found."""

import json
import os
import sys
from urllib.request import urlopen


def get(path: str) -> str:
    with urlopen(os.environ["HASHLAB_URL_WEB"] + path, timeout=5) as response:
        return str(response.read(), "utf-8")


if "<h1" not in get("/"):
    sys.exit("the page has no heading")
greeting = json.loads(get("/greeting"))["greeting"]
if not greeting:
    sys.exit("the greeting is empty")
print(f"page and greeting answer: {greeting}")
