"""Download a file over HTTP within limits of time and size, completely or not at all."""

from __future__ import annotations

import http.client
import urllib.error
import urllib.request
from ipaddress import ip_address
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from hashlab.drivers.environment import LOOPBACK
from hashlab.errors import LabError, LaptopError
from hashlab.pipeline import Track

# A server that sends nothing for this long has stopped sending.
SILENCE_SECONDS = 30.0
CHUNK = 1 << 20


def download(url: str, target: Path, *, limit: int, track: Track) -> None:
    """See protocols.Download."""
    _check_address(url)
    try:
        with _opener().open(url, timeout=SILENCE_SECONDS) as answer:
            total = int(answer.headers.get("Content-Length") or 0) or None
            _refuse_beyond(limit, total or 0, url)
            _write(answer, target, total, limit=limit, track=track)
    except urllib.error.HTTPError as error:
        raise _failed(url, f"the server answers {error.code} {error.reason}") from error
    except urllib.error.URLError as error:
        raise _failed(url, str(error.reason)) from error
    except (http.client.HTTPException, TimeoutError, ConnectionError, ValueError) as error:
        raise _failed(url, str(error) or type(error).__name__) from error
    except OSError as error:
        raise LaptopError(f"cannot write {target}: {error.strerror or error}") from error


def _check_address(url: str) -> None:
    """Raise LabError unless the data is safe from being read or changed on its way, which plain
    http is not.
    """
    try:
        parts = urlsplit(url)
        scheme, host = parts.scheme, parts.hostname or ""
    except ValueError as error:
        raise LabError(f"it is not a valid address: {error}", where=url) from error
    if scheme not in ("http", "https"):
        raise LabError(f"only https addresses are supported, not {url}")
    if scheme == "http" and not _is_loopback(host):
        raise LabError(
            "plain http is refused: anyone on the way could change the data",
            where=url,
            next_step="use https, or copy the files and name their folder",
        )


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


class _Redirects(urllib.request.HTTPRedirectHandler):
    """Checks the target of a redirect like the original address."""

    def redirect_request(self, req: Any, *args: Any) -> urllib.request.Request | None:
        """See HTTPRedirectHandler."""
        _check_address(args[-1])  # fp, code, msg, headers, newurl
        return super().redirect_request(req, *args)


def _opener() -> urllib.request.OpenerDirector:
    """Return an opener for http and https only: no files and no FTP."""
    opener = urllib.request.OpenerDirector()
    for handler in (
        _ProxyToOthers,
        urllib.request.HTTPHandler,
        urllib.request.HTTPSHandler,
        _Redirects,
        urllib.request.HTTPDefaultErrorHandler,
        urllib.request.HTTPErrorProcessor,
        urllib.request.UnknownHandler,
    ):
        opener.add_handler(handler())
    return opener


class _ProxyToOthers(urllib.request.ProxyHandler):
    """Connects to this laptop directly, even if a proxy is set."""

    def proxy_open(
        self, req: urllib.request.Request, proxy: str, type: str
    ) -> http.client.HTTPResponse | None:
        """Return None if the request must bypass the proxy."""
        if urlsplit(req.full_url).hostname in LOOPBACK:
            return None
        return super().proxy_open(req, proxy, type)


def _write(
    answer: http.client.HTTPResponse, target: Path, total: int | None, *, limit: int, track: Track
) -> None:
    done = 0
    try:
        with target.open("wb") as stream:
            while chunk := answer.read(CHUNK):
                track.cancel.check()
                done += stream.write(chunk)
                _refuse_beyond(limit, done, answer.url)
                track.progress(done / 1e6, total / 1e6 if total else None, "MB")
        if total is not None and done != total:
            raise LabError(
                f"the download was cut off after {done} of {total} bytes",
                where=answer.url,
                next_step="run it again",
            )
    except BaseException:
        target.unlink(missing_ok=True)
        raise


def _refuse_beyond(limit: int, size: int, url: str) -> None:
    if size > limit:
        raise LabError(f"it is larger than {limit // 1_000_000} MB", where=url)


def _failed(url: str, why: str) -> LabError:
    return LabError(
        f"cannot download it: {why}", where=url, next_step="check that the address exists"
    )
