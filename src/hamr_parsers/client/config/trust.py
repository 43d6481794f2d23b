"""What a repository's `.hamr.toml` may not do: send the user's secrets to a gateway that only it names.

Theory. The file comes with a repository, which may be anyone's, and is read by every command that is started there.
So it may choose among the user's gateways and describe new ones, but a secret goes only to an origin (scheme, host,
port) that the user's own files name for that provider: keys and headers of these files go nowhere else, not even to
another port of this machine, where any process may listen; and variables that the repository's file asks for go to
this machine at most. It is an error and not a warning, as a key that was sent cannot be taken back. The way out is
one line in a file of the user's, which says that the gateway is theirs. A file named with `--config` is the user's.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from urllib.parse import urlsplit

from ..errors import ConfigurationError
from .files import key_path
from .interpolate import Template
from .presets import PRESETS
from .provider import Provider
from .source import Source, shown_path

__all__ = ["check_repository", "origin"]

_PORTS = {"http": 80, "https": 443}
#: Words that stand for no key: whoever gets them has nothing.
_PLACEHOLDERS = [Template(word, Source("default")) for word in {p.api_key for p in PRESETS} if word]


def origin(url: str) -> str:
    """Scheme, host and port of a URL, in one form; the URL itself if it has none."""
    try:
        parts = urlsplit(url.strip())
        host, port = (parts.hostname or "").rstrip("."), parts.port
    except ValueError:
        return url
    shown = f"[{host}]" if ":" in host else host
    port = None if port == _PORTS.get(parts.scheme) else port
    return f"{parts.scheme}://{shown}" + (f":{port}" if port is not None else "")


def check_repository(
    provider: Provider, below: Provider | None, path: Path, *, local: bool, own: Path
) -> None:
    """Refuse a provider whose URL is the repository's and whose secrets are not.

    Args:
        provider: what all files together say; its base URL is the one of the repository's file.
        below: what the user's files say of it, None if nothing.
        path: the repository's file.
        local: whether the base URL means this machine.
        own: the user's TOML file, for the way out.

    Raises:
        ConfigurationError: names both files, the origins and the way out.
    """
    assert provider.base_url is not None
    there = origin(provider.base_url.value)
    theirs = origin(below.base_url.value) if below is not None and below.base_url is not None else None
    if there == theirs:
        return
    secrets = [t for t in _secrets(provider) if t not in _PLACEHOLDERS]
    foreign = [t for t in secrets if t.source.file != path]
    asked = dict.fromkeys(name for t in secrets if t.source.file == path for name in t.shown_variables())
    if foreign:
        keys = ", ".join(dict.fromkeys(t.source.key for t in foreign))
        files = " and ".join(dict.fromkeys(shown_path(t.source.file) for t in foreign if t.source.file))
        reason = f"{keys} of {files} {'is' if len(foreign) == 1 else 'are'} not sent to {there}" + (
            f" (your files have {theirs})" if theirs is not None else ""
        )
    elif asked and not local:
        reason = f"a repository's file may not send {', '.join(asked)} to {there}"
    else:
        return
    table = key_path(("providers", provider.name))
    source = provider.base_url.source
    raise ConfigurationError(
        f"{reason}: if you trust this gateway, put `[{table}]` with this base_url into {shown_path(own)}"
        " too; else give the provider another name here, or remove it",
        file=path,
        key=source.key if source.file is not None else provider.source.key,
    )


def _secrets(provider: Provider) -> Iterable[Template]:
    if provider.api_key is not None:
        yield provider.api_key
    yield from provider.headers.values()
    for layer in (*provider.models.values(), *provider.overrides.values()):
        yield from layer.headers.values()
