"""A registry that speaks the OCI distribution protocol."""

from __future__ import annotations

import re
import ssl
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from http import HTTPStatus
from pathlib import Path
from textwrap import shorten
from typing import Any
from urllib.parse import urljoin, urlsplit

import requests
from requests.utils import get_environ_proxies

from hashlab.drivers.registryauth import HUB, Authorizer, find_login, refused
from hashlab.errors import LabError
from hashlab.pipeline import CancelToken
from hashlab.state.files import explained as explained_file
from hashlab.state.files import open_binary, size

HUB_HOST = "registry-1.docker.io"
# Seconds to connect, and for each piece of an answer. A registry checks a large blob at its end.
CONNECT_SECONDS, ANSWER_SECONDS = 10.0, 120.0
CHUNK = 1 << 20
LOOPBACK = ("localhost", "127.0.0.1", "::1")
# How registries report ENOSPC and EDQUOT.
FULL_DISK = re.compile(r'"Err":\s*(28|122)\b|no space left on device|disk quota exceeded')
CERTIFICATES = Path("/etc/docker/certs.d")
MANIFESTS = "application/vnd.oci.image.manifest.v1+json"


def open_registry(host: str, environ: Mapping[str, str]) -> HttpRegistry:
    """Return the registry at HOST or HOST:PORT, after it has answered.

    It is asked by HTTPS; one on this laptop by HTTP if it does not speak HTTPS, as Docker does.
    Raises LabError, LaptopError.
    """
    session = requests.Session()
    # Nothing of ~/.netrc: a password comes from Docker's store or the environment alone.
    session.trust_env = False
    session.verify = _trusted(host, environ)
    address = HUB_HOST if host == HUB else host
    scheme = _scheme(session, host, address, environ)
    login = find_login(host, environ)
    authorizer = Authorizer(host, login, session, plain=scheme == "http")
    return HttpRegistry(host, f"{scheme}://{address}", session, authorizer, environ)


def _trusted(host: str, environ: Mapping[str, str]) -> str | bool:
    """Return the certificates to trust: those for this registry, else the system's."""
    own = sorted((CERTIFICATES / host).glob("*.crt"))
    system = ssl.get_default_verify_paths()
    places = (
        *(environ.get(name) for name in ("REQUESTS_CA_BUNDLE", "SSL_CERT_FILE")),
        system.cafile,
        system.capath,
    )
    return next((str(place) for place in (*own, *places) if place), True)


def _scheme(session: requests.Session, host: str, address: str, environ: Mapping[str, str]) -> str:
    url = f"https://{address}/v2/"
    with explained(host):
        session.proxies = get_environ_proxies(url, environ.get("no_proxy"))
        try:
            session.get(url, timeout=(CONNECT_SECONDS, ANSWER_SECONDS))
        except requests.exceptions.SSLError as error:
            local = (urlsplit(url).hostname or "") in LOOPBACK
            if not local or "WRONG_VERSION_NUMBER" not in repr(error).upper().replace(" ", "_"):
                raise
            return "http"
    return "https"


class HttpRegistry:
    """protocols.Registry."""

    def __init__(
        self,
        host: str,
        base: str,
        session: requests.Session,
        authorizer: Authorizer,
        environ: Mapping[str, str],
    ) -> None:
        self.host, self._base = host, base
        self._session, self._authorizer, self._environ = session, authorizer, environ
        self._headers: dict[str, str] = {}

    def has(self, repository: str, digest: str) -> bool:
        """See protocols.Registry."""
        answer = self._ask("HEAD", repository, f"/v2/{repository}/blobs/{digest}")
        if answer.status_code == HTTPStatus.NOT_FOUND:
            return False
        self._check(answer, HTTPStatus.OK)
        return True

    def mount(self, repository: str, digest: str, *, source: str) -> bool:
        """See protocols.Registry."""
        path = f"/v2/{repository}/blobs/uploads/?mount={digest}&from={source}"
        answer = self._ask("POST", repository, path, also=source)
        self._check(answer, HTTPStatus.CREATED, HTTPStatus.ACCEPTED)
        if answer.status_code == HTTPStatus.ACCEPTED:
            # It has begun an upload instead.
            self._ask("DELETE", repository, self._location(answer))
        return answer.status_code == HTTPStatus.CREATED

    def upload(
        self,
        repository: str,
        digest: str,
        path: Path,
        *,
        cancel: CancelToken,
        sent: Callable[[int], None],
    ) -> None:
        """See protocols.Registry."""
        begun = self._ask("POST", repository, f"/v2/{repository}/blobs/uploads/")
        self._check(begun, HTTPStatus.ACCEPTED)
        location = self._location(begun)
        answer = self._ask(
            "PUT",
            repository,
            f"{location}{'&' if '?' in location else '?'}digest={digest}",
            data=_Body(path, cancel, sent),
            headers={"Content-Type": "application/octet-stream"},
        )
        self._check(answer, HTTPStatus.CREATED)

    def put_manifest(self, repository: str, reference: str, data: bytes, kind: str) -> None:
        """See protocols.Registry."""
        path = f"/v2/{repository}/manifests/{reference}"
        answer = self._ask("PUT", repository, path, data=data, headers={"Content-Type": kind})
        self._check(answer, HTTPStatus.CREATED)

    def manifest(self, repository: str, reference: str) -> str | None:
        """See protocols.Registry."""
        path = f"/v2/{repository}/manifests/{reference}"
        answer = self._ask("HEAD", repository, path, headers={"Accept": MANIFESTS})
        if answer.status_code == HTTPStatus.NOT_FOUND:
            return None
        self._check(answer, HTTPStatus.OK)
        return str(answer.headers.get("Docker-Content-Digest") or "")

    def close(self) -> None:
        """See protocols.Registry."""
        self._session.close()

    def _location(self, answer: requests.Response) -> str:
        return urljoin(answer.url, answer.headers.get("Location", ""))

    def _ask(
        self,
        method: str,
        repository: str,
        path: str,
        *,
        data: Any = None,
        headers: Mapping[str, str] = {},
        also: str = "",
    ) -> requests.Response:
        """Return the answer to a request; log in if the registry wants that. Raises LabError.

        ``also``: a second repository that is read.
        """
        url = urljoin(self._base, path)
        own = urlsplit(url).netloc == urlsplit(self._base).netloc

        def send() -> requests.Response:
            # A place for uploads on another host has its own right in its address.
            known = self._headers.get(repository) if own else None
            return self._session.request(
                method,
                url,
                data=data,
                headers={**headers, **({"Authorization": known} if known else {})},
                timeout=(CONNECT_SECONDS, ANSWER_SECONDS),
            )

        with explained(self.host):
            answer = send()
            if answer.status_code == HTTPStatus.UNAUTHORIZED and own:
                challenge = answer.headers.get("WWW-Authenticate", "")
                scope = f"repository:{repository}:pull,push"
                scope += f" repository:{also}:pull" if also else ""
                header = self._authorizer.header(challenge, scope)
                if header is None or self._headers.get(repository) == header:
                    raise refused(self.host, self._authorizer.login)
                self._headers[repository] = header
                answer = send()
        if answer.status_code == HTTPStatus.UNAUTHORIZED:
            raise refused(self.host, self._authorizer.login)
        return answer

    def _check(self, answer: requests.Response, *expected: HTTPStatus) -> None:
        """Raise LabError if a registry did not do what it was asked for."""
        if answer.status_code in expected:
            return
        what, next_step = _failure(answer, self.host, self._authorizer.login.user)
        raise LabError(what, where=urlsplit(answer.url).path, next_step=next_step)


class _Body:
    """A file as the body of a request, which may be sent twice."""

    def __init__(self, path: Path, cancel: CancelToken, sent: Callable[[int], None]) -> None:
        self._path, self._cancel, self._sent = path, cancel, sent

    def __iter__(self) -> Iterator[bytes]:
        with explained_file(self._path), open_binary(self._path) as stream:
            while piece := stream.read(CHUNK):
                self._cancel.check()
                yield piece
                self._sent(len(piece))

    def __len__(self) -> int:
        return size(self._path) or 0


@contextmanager
def explained(host: str) -> Iterator[None]:
    """Turn a failure to reach a registry into one LabError."""
    try:
        yield
    except requests.exceptions.SSLError as error:
        raise _untrusted(host, error) from error
    except requests.exceptions.Timeout as error:
        raise LabError(
            f"registry {host} does not answer in time",
            next_step="check the network, then run it again: what arrived is not sent twice",
        ) from error
    except (requests.RequestException, OSError) as error:
        raise _unreached(host, error) from error


def _untrusted(host: str, error: Exception) -> LabError:
    text = str(error)
    if "expired" in text:
        return LabError(
            f"the certificate of registry {host} has expired",
            next_step="let its owner renew it, and check this laptop's clock",
        )
    reason = text.rpartition("certificate verify failed: ")[2].partition(" (_ssl")[0]
    return LabError(
        f"the certificate of registry {host} is not trusted: {reason.rstrip(')')}",
        next_step=f"put its authority's certificate into {CERTIFICATES / host}/ca.crt",
    )


def _unreached(host: str, error: Exception) -> LabError:
    text = str(error)
    if "NameResolution" in text or "getaddrinfo" in text or "Name or service" in text:
        what = f"registry {host} is unknown: its name does not resolve"
        return LabError(what, next_step="check the name, and the network")
    if "refused" in text:
        return LabError(
            f"registry {host} does not answer: nothing listens there",
            next_step="start it, or check its name and port",
        )
    return LabError(
        f"the connection to registry {host} broke: {shorten(text, 200)}",
        next_step="run it again: what arrived is not sent twice, and no tag was moved",
    )


def _failure(answer: requests.Response, host: str, user: str) -> tuple[str, str]:
    """Return what a registry's error means, and the next step."""
    code, message = _message(answer)
    if answer.status_code == HTTPStatus.FORBIDDEN or code == "DENIED":
        who = f"user {user}" if user else "without a login one"
        return f"registry {host}: {who} may not write there: {message}", f"docker login {host}"
    if _disk_is_full(answer):
        return f"the disk of registry {host} is full", "free space there, then run it again"
    if answer.status_code == HTTPStatus.TOO_MANY_REQUESTS:
        return f"registry {host} wants fewer requests: {message}", "wait, then run it again"
    if answer.status_code == HTTPStatus.REQUEST_ENTITY_TOO_LARGE:
        return f"registry {host} refuses a layer as too large: {message}", "raise its limit"
    if answer.status_code == HTTPStatus.METHOD_NOT_ALLOWED:
        return f"registry {host} is read-only", "name another registry"
    what = f"registry {host} answered {answer.status_code}: {message}"
    return what, "look into its log"


def _message(answer: requests.Response) -> tuple[str, str]:
    try:
        [first, *_] = answer.json()["errors"]
        return str(first["code"]), str(first["message"])
    except (ValueError, KeyError, TypeError):
        return "", answer.reason or "no reason given"


def _disk_is_full(answer: requests.Response) -> bool:
    """True if a registry reports its system's error for a full disk."""
    return (
        answer.status_code == HTTPStatus.INSUFFICIENT_STORAGE
        or FULL_DISK.search(answer.text) is not None
    )
