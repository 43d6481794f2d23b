"""What the proxy is told: where the upstream is, how answers are read, and the limits.

Theory. The upstream is named by its OpenAI base URL, as clients name it (`http://127.0.0.1:1234/v1`). Paths under
`/v1` go beneath it; all others (a server's own `/health`, `/slots`, its web page) go beneath the same URL without the
`/v1`. Nothing here is printed with its secrets: keys and header values stay out of `repr`, and `Target.shown` is the
URL without credentials.
"""

from __future__ import annotations

import fnmatch
import re
from base64 import b64decode, b64encode
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from urllib.parse import SplitResult, unquote, urlsplit

from ...errors import HamrParsersError
from ...wire import WireOptions
from .headers import FRAMING

__all__ = ["LOCAL_NAMES", "Limits", "ProxySettings", "ServeError", "Target", "Timeouts"]

MIB = 1024 * 1024
#: What this machine is called by itself and by the containers on it.
LOCAL_NAMES = frozenset(
    ("localhost", "[::1]", "host.docker.internal", "host.containers.internal", "host.lima.internal")
)


class ServeError(HamrParsersError):
    """The server cannot be started as asked; the message says what is wrong and the way out."""


@dataclass(frozen=True, slots=True)
class Target:
    """The upstream's place.

    Attributes:
        base: its OpenAI base URL, without a slash at the end, and without credentials.
        root: what its other paths stand under.
        credentials: those that stood in the URL, `NAME:PASSWORD`; sent as basic authorization.
    """

    base: str
    root: str
    credentials: str | None = field(default=None, repr=False)

    @classmethod
    def of(cls, url: str) -> Target:
        """From a URL as a person writes it; one without a path gets `/v1`.

        Raises:
            ServeError: it is no http or https URL.
        """
        parts = _split(url)
        path = parts.path.rstrip("/") or "/v1"
        if path.endswith("/chat/completions"):
            path = path.removesuffix("/chat/completions")
        credentials, _, place = parts.netloc.rpartition("@")
        base = parts._replace(netloc=place, path=path, query="", fragment="")
        root = base._replace(path=path.removesuffix("/v1"))
        return cls(base.geturl(), root.geturl(), unquote(credentials) or None)

    def url(self, path: str) -> str:
        """Where a path of the proxy leads."""
        if path == "/v1" or path.startswith("/v1/"):
            return self.base + path[3:]
        if path.endswith("/chat/completions") and path.count("/") == 2:
            return self.base + path  # a client whose base URL lacks the /v1
        return self.root + path

    @property
    def is_loopback(self) -> bool:
        """Whether it is on this machine."""
        host = urlsplit(self.base).hostname or ""
        return host == "localhost" or host == "::1" or host.startswith("127.")


def _split(url: str) -> SplitResult:
    shown = url.rpartition("@")[2]
    try:
        parts = urlsplit(url.strip())
        _ = parts.port
    except ValueError as error:
        raise ServeError(
            f"--upstream {shown!r} is no URL: {error}; write e.g. http://127.0.0.1:1234/v1"
        ) from None
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ServeError(f"--upstream {shown!r} is no http or https URL; write e.g. http://127.0.0.1:1234/v1")
    return parts


@dataclass(frozen=True, slots=True, kw_only=True)
class Timeouts:
    """In seconds.

    Attributes:
        connect: until the upstream accepts the connection.
        silence: so long it may say nothing, before its answer (a gateway loads a model) and within it.
        keep_alive: after so much silence a streaming client gets a comment; 0: never.
        stalled: after so long a client that reads nothing is given up.
        drain: so long running answers may go on after the end was asked for.
    """

    connect: float = 5.0
    silence: float = 900.0
    keep_alive: float = 15.0
    stalled: float = 300.0
    drain: float = 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """In bytes.

    Attributes:
        request: of a request that is read.
        response: of a whole answer that is read.
        capture: of one captured answer.
        captures: number of answers kept.
    """

    request: int = 64 * MIB
    response: int = 64 * MIB
    capture: int = 16 * MIB
    captures: int = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class ProxySettings:
    """Everything that the proxy is told.

    Attributes:
        target: the upstream.
        api_key: sent upstream as a bearer token, in the place of the client's.
        headers: sent upstream with each request, over the client's.
        wire: how answers are read.
        parsers: (pattern of model names, parser id), the first that fits; before `wire.parser`.
        passed: paths that are passed on untouched, e.g. "/v1/messages" of an upstream that serves it itself.
        capture: where transcripts are written; None: nowhere.
        hosts: the names that requests may call the proxy by, beside addresses of this machine; None: any.

    Raises:
        ServeError: a header of its own cannot be sent with each request.
    """

    target: Target
    api_key: str | None = field(default=None, repr=False)
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    wire: WireOptions = field(default_factory=WireOptions)
    parsers: Sequence[tuple[str, str]] = ()
    passed: frozenset[str] = frozenset()
    timeouts: Timeouts = field(default_factory=Timeouts)
    limits: Limits = field(default_factory=Limits)
    capture: Path | None = None
    hosts: frozenset[str] | None = None

    def __post_init__(self) -> None:
        for name, value in self.headers.items():
            if name.lower() in FRAMING:
                raise ServeError(
                    f"--header {name}: every request to the upstream has its own {name}; leave this header out"
                )
            if not _NAME.fullmatch(name):
                raise ServeError(f"--header {name!r}: that is no name of a header")
            if _CONTROL.search(value):
                raise ServeError(
                    f"--header {name}: the value has a line break or another control character in it"
                )
        if self.api_key is not None and _CONTROL.search(self.api_key):
            raise ServeError("--api-key: the key has a line break or another control character in it")

    def wire_for(self, model: object) -> WireOptions:
        """How the answers of a model are read."""
        if isinstance(model, str):
            for pattern, parser in self.parsers:
                if fnmatch.fnmatchcase(model.lower(), pattern.lower()):
                    return replace(self.wire, parser=parser)
        return self.wire

    @property
    def authorization(self) -> str | None:
        """The value of the upstream's `Authorization`; None: the client's own."""
        if self.api_key is not None:
            return f"Bearer {self.api_key}"
        if self.target.credentials is not None:
            return "Basic " + _base64(self.target.credentials)
        return None

    def secrets(self) -> list[str]:
        """What the proxy itself knows and must not tell: keys, credentials, and the values of its own headers."""
        url = self.target.credentials or ""
        found = [self.api_key, self.authorization, _base64(url), *_credentials(url)]
        for name, value in self.headers.items():
            name = name.lower()
            if name.startswith("accept") or name == "content-type":
                continue  # no secrets, and blanking `application/json` out would spoil what is no secret
            found.append(value)
            scheme, _, rest = value.partition(" ")
            if scheme.lower() in _SCHEMES:
                found.append(rest.strip())
            if scheme.lower() == "basic":
                found += _credentials(_from_base64(rest.strip()))
            if name == "cookie":
                found += [part.partition("=")[2].strip() for part in value.split(";")]
        return list(dict.fromkeys(value for value in found if value))


_NAME = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")
_CONTROL = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")
_SCHEMES = ("bearer", "basic", "token", "apikey", "api-key", "key")


def _credentials(given: str) -> list[str]:
    """`NAME:PASSWORD` whole, and what is secret of it."""
    name, _, password = given.partition(":")
    return [given, password or name]


def _base64(text: str) -> str:
    return b64encode(text.encode()).decode()


def _from_base64(text: str) -> str:
    try:
        return b64decode(text).decode()
    except ValueError:
        return ""
