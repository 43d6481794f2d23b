"""`--capture DIR`: what the upstream answered, as it came, for `hamr-parse parse`.

Theory. Each answer becomes `TIME-NUMBER-MODEL.sse` or `.json`, the upstream's body before anything was mended, and
beside it `....request.json`, the request as it went upstream, which `--tools` takes. An answer is kept in memory until
it is over (at most `Limits.capture` bytes; the rest is left out), since a secret may be cut by two pieces, and is then
written by a thread, so that no stream waits for the disk. Files are the user's alone (mode 600, the directory 700).
When there are more than `Limits.captures`, the oldest of this naming go. A disk that is full stops no stream.
"""

from __future__ import annotations

import asyncio
import itertools
import os
import re
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from .redact import Redactor
from .settings import Limits, ServeError

__all__ = ["Capture", "Captures"]

_NAME = re.compile(r"\d{8}T\d{6}-\d{6}-[\w.-]*\.(?:sse|json|request\.json)")
_STRANGE = re.compile(r"[^A-Za-z0-9.-]+")


class Captures:
    """The directory.

    Raises:
        ServeError: it cannot be made or written.
    """

    def __init__(self, directory: Path, limits: Limits) -> None:
        self._directory = directory
        self._limits = limits
        self._numbers = itertools.count(1)
        try:
            directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            names = sorted(entry.name for entry in directory.iterdir() if _NAME.fullmatch(entry.name))
        except OSError as error:
            raise ServeError(f"--capture {directory}: {error.strerror or error}") from None
        if not os.access(directory, os.W_OK | os.X_OK):
            raise ServeError(f"--capture {directory}: cannot be written")
        self._kept: dict[str, list[Path]] = {}  # by stem, the oldest first
        for name in names:
            stem = name.removesuffix(".json").removesuffix(".request").removesuffix(".sse")
            self._kept.setdefault(stem, []).append(directory / name)

    def start(self, request: Mapping[str, Any], redactor: Redactor) -> Capture:
        """Begin one."""
        return Capture(self, request, redactor, self._limits.capture)

    async def save(self, capture: Capture, stream: bool) -> None:
        """Write a finished one.

        Raises:
            OSError: it could not be written.
        """
        if not capture.size:
            return
        model = capture.request.get("model")
        slug = _STRANGE.sub("_", model if isinstance(model, str) else "")[-60:].strip("._")
        stem = f"{time.strftime('%Y%m%dT%H%M%S')}-{next(self._numbers):06d}-{slug or 'model'}"
        answer = self._directory / (stem + (".sse" if stream else ".json"))
        request = self._directory / f"{stem}.request.json"
        self._kept[stem] = [answer, request]
        old = [self._kept.pop(first) for first in list(self._kept)[: len(self._kept) - self._limits.captures]]
        await asyncio.to_thread(_write, capture, answer, request, [path for paths in old for path in paths])


class Capture:
    """One answer, while it comes."""

    def __init__(self, owner: Captures, request: Mapping[str, Any], redactor: Redactor, limit: int) -> None:
        self._owner = owner
        self._left = limit
        self.request = request
        self.redactor = redactor
        self.parts: list[bytes] = []
        self.size = 0

    def add(self, data: bytes) -> None:
        """A piece of the body, as it came."""
        if self._left > 0:
            data = data[: self._left]
            self._left -= len(data)
            self.size += len(data)
            self.parts.append(data)

    async def save(self, *, stream: bool) -> None:
        """It is over.

        Raises:
            OSError: it could not be written.
        """
        await self._owner.save(self, stream)


def _write(capture: Capture, answer: Path, request: Path, old: list[Path]) -> None:
    for path in old:
        path.unlink(missing_ok=True)
    _file(request, capture.redactor.clean_json(capture.request))
    _file(answer, capture.redactor.clean(b"".join(capture.parts)))


def _file(path: Path, data: bytes) -> None:
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_NOFOLLOW", 0), 0o600)
    with os.fdopen(handle, "wb") as out:
        out.write(data)
