"""What can go wrong between a program and a gateway, and the exit code of each kind.

Theory. A person who reads one of these wants to know three things: what failed, where, and what to do. So every
message is one sentence that names the thing (a file and its key, a URL, a model) and the way out, and every class
knows its `exit_code`, so that a script can tell a wrong key from a dead server without reading the message. The
codes stand here and nowhere else; `hamr-parse` ends with them. No message holds a secret: what comes from a
gateway's answer is cut short and never echoes what was sent.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from pathlib import Path
from types import TracebackType

from ..errors import HamrParsersError

__all__ = [
    "EXIT_CODES",
    "EXIT_CONFIGURATION",
    "EXIT_GATEWAY_ERROR",
    "EXIT_REFUSED",
    "EXIT_UNKNOWN_MODEL",
    "EXIT_UNREACHABLE",
    "AccessRefusedError",
    "ClientError",
    "CommandNotAllowedError",
    "ConfigurationError",
    "GatewayError",
    "GatewayStatusError",
    "GatewayTimeoutError",
    "GatewayUnreachableError",
    "MissingExtraError",
    "MissingVariableError",
    "NotAGatewayError",
    "ProviderError",
    "StreamRunningError",
    "UnknownModelError",
    "nearest",
    "without_frames",
]

#: Usage or configuration: what the caller or a file says cannot be used.
EXIT_CONFIGURATION = 2
#: Nothing answers as an OpenAI-compatible gateway: dead, wrong port, HTML, silence.
EXIT_UNREACHABLE = 3
#: The gateway refused the key or asks for one: 401, 403, a login page.
EXIT_REFUSED = 4
#: The gateway has no such model.
EXIT_UNKNOWN_MODEL = 5
#: The gateway answered, with an error: 4xx and 5xx of other kinds, an error inside a stream.
EXIT_GATEWAY_ERROR = 6

#: Every code and what it means, for help texts.
EXIT_CODES = {
    EXIT_CONFIGURATION: "wrong usage or configuration, or unreadable input",
    EXIT_UNREACHABLE: "no gateway answers there",
    EXIT_REFUSED: "the gateway refused the key",
    EXIT_UNKNOWN_MODEL: "the gateway has no such model",
    EXIT_GATEWAY_ERROR: "the gateway answered with an error",
}


class ClientError(HamrParsersError):
    """Base of all errors of the client; `exit_code` is what a command ends with."""

    exit_code = EXIT_CONFIGURATION


class ConfigurationError(ClientError, ValueError):
    """A configuration file, or an option that overrides it, cannot be used.

    The message is `FILE:LINE:COLUMN: KEY: REASON`, as far as these are known; they are attributes too.
    """

    def __init__(
        self,
        reason: str,
        *,
        file: Path | None = None,
        key: str | None = None,
        line: int | None = None,
        column: int | None = None,
    ) -> None:
        self.reason = reason
        self.file = file
        self.key = key
        self.line = line
        self.column = column
        place = ""
        if file is not None:
            place = str(file) + "".join(f":{n}" for n in (line, column) if n is not None)
        super().__init__(": ".join(part for part in (place, key, reason) if part))

    def __reduce__(self) -> tuple[object, ...]:
        return (_configuration_error, (type(self), self.reason, self.file, self.key, self.line, self.column))


def _configuration_error(
    cls: type[ConfigurationError], reason: str, file: Path | None, key: str | None, *place: int | None
) -> ConfigurationError:
    error = cls.__new__(cls)
    ConfigurationError.__init__(error, reason, file=file, key=key, line=place[0], column=place[1])
    return error


class MissingVariableError(ConfigurationError):
    """A value asks for an environment variable that is not set; the message names it."""


class CommandNotAllowedError(ConfigurationError):
    """A value is a command (`!...`), and running commands out of a file was not allowed."""


class MissingExtraError(ClientError, ImportError):
    """A package that an extra of this one brings is not installed; the message says how to install it."""

    def __init__(self, extra: str, package: str) -> None:
        self.extra = extra
        self.package = package
        super().__init__(f"this needs {package}: pip install 'hamr-parsers[{extra}]'")

    def __reduce__(self) -> tuple[object, ...]:
        return (type(self), (self.extra, self.package))


class ProviderError(ConfigurationError):
    """No provider of this name, none that is active, or one that cannot be used here."""


class StreamRunningError(ClientError, RuntimeError):
    """Another model was asked for while a stream of this client runs: end or cancel the stream first."""


class GatewayError(ClientError):
    """Base of what a gateway did, or did not do.

    Attributes:
        url: what was asked, without credentials.
        status: the HTTP status, if there was one.
        detail: what the gateway said, in its own words and cut short; `code` its code for it.
        retry_after: seconds after which it may be tried again, if the gateway said so.
    """

    exit_code = EXIT_GATEWAY_ERROR

    def __init__(
        self,
        message: str,
        *,
        url: str = "",
        status: int | None = None,
        detail: str = "",
        code: str = "",
        retry_after: float | None = None,
    ) -> None:
        self.url = url
        self.status = status
        self.detail = detail
        self.code = code
        self.retry_after = retry_after
        super().__init__(message)

    def __reduce__(self) -> tuple[object, ...]:
        return (_restore, (type(self), str(self), dict(self.__dict__)))


def _restore(cls: type[GatewayError], message: str, state: dict[str, object]) -> GatewayError:
    error = cls.__new__(cls)
    Exception.__init__(error, message)
    error.__dict__.update(state)
    return error


class GatewayUnreachableError(GatewayError):
    """No connection: nothing listens there, no such host, TLS failed, or it broke before an answer."""

    exit_code = EXIT_UNREACHABLE


class GatewayTimeoutError(GatewayUnreachableError, TimeoutError):
    """The gateway said nothing for longer than the time-out."""


class NotAGatewayError(GatewayUnreachableError):
    """Something answers, but not as an OpenAI-compatible gateway: HTML, a redirect, JSON of another kind, 404."""


class AccessRefusedError(GatewayError):
    """401 or 403, or a login page before the gateway."""

    exit_code = EXIT_REFUSED


class UnknownModelError(GatewayError):
    """The gateway has no such model; `nearest` are those most like it."""

    exit_code = EXIT_UNKNOWN_MODEL

    def __init__(self, model: str, known: Iterable[str], *, url: str = "", status: int | None = None) -> None:
        listed = list(known)
        self.model = model
        self.nearest = nearest(model, listed)
        if self.nearest:
            hint = f"did you mean {' or '.join(map(repr, self.nearest))}?"
        elif listed:
            hint = f"it has {some(listed)}"
        else:
            hint = "`hamr-parse models` lists those it has"
        where = f" at {url}" if url else ""
        super().__init__(f"no model {model!r}{where}; {hint}", url=url, status=status)


class GatewayStatusError(GatewayError):
    """The gateway answered with an error status of another kind (4xx, 5xx)."""


class without_frames:
    """An error that leaves this block forgets where in it it was raised, and what it was raised from: the frames
    have secrets and whole files in their variables, which crash reporters and debuggers show."""

    def __enter__(self) -> None:
        pass

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if isinstance(error, ClientError):
            error.__context__ = None
            raise error.with_traceback(None) from None


def nearest(name: str, known: Iterable[str], n: int = 3) -> list[str]:
    """The known names that are most like `name`: by spelling, or because one holds the other."""
    folded: dict[str, str] = {}
    for other in known:
        folded.setdefault(other.lower(), other)
    wanted = name.lower()[:256]
    close = difflib.get_close_matches(wanted, folded, n=n, cutoff=0.6)
    holding = [o for o in folded if len(wanted) > 2 and (wanted in o or (len(o) > 2 and o in wanted))]
    return [folded[o] for o in dict.fromkeys([*close, *holding])][:n]


def some(names: Iterable[str], most: int = 6) -> str:
    """A few names for a message."""
    listed = list(names)
    more = f" and {len(listed) - most} more" if len(listed) > most else ""
    return ", ".join(map(repr, listed[:most])) + more
