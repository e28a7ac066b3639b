"""Asks the running lab for its page and its greeting; the last line says what it found."""

import json
import os
import sys
import time
from urllib.request import urlopen

# For a moment after a restart the page's server may still know the greeter's old address.
SECONDS = 20 * float(os.environ.get("HASHLAB_PATIENCE", "1"))


def get(path: str, deadline: float) -> str:
    url = os.environ["HASHLAB_URL_WEB"] + path
    while True:
        try:
            with urlopen(url, timeout=5) as response:
                return str(response.read(), "utf-8")
        except OSError as error:
            if time.monotonic() > deadline:
                sys.exit(f"{url}: {error}")
        time.sleep(0.1)


deadline = time.monotonic() + SECONDS
if "<h1" not in get("/", deadline):
    sys.exit("the page has no heading")
greeting = json.loads(get("/greeting", deadline))["greeting"]
if not greeting:
    sys.exit("the greeting is empty")
print(f"page and greeting answer: {greeting}")
