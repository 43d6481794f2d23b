"""Files named on the command line, one after the other; what cannot be read is told and passed over.

A progress bar is shown on standard error if a person watches it and there is much to read. Where results go
to the same terminal meanwhile, the bar steps aside for each.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from ..transcripts import TranscriptError, read_transcripts
from .console import complain, err_is_terminal

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

    from ..transcripts import InputKind, Transcript

__all__ = ["Inputs", "Meter", "read_bytes"]

STDIN = "-"
MANY_FILES = 20
LARGE = 4 * 1024 * 1024  # bytes
PIECE = 64 * 1024  # characters fed between two steps of the bar


def read_bytes(path: str) -> bytes:
    """The bytes of a file or of standard input.

    Raises:
        TranscriptError: it cannot be read; the reason is the system's.
    """
    try:
        return sys.stdin.buffer.read() if path == STDIN else Path(path).read_bytes()
    except OSError as error:
        raise TranscriptError(path, error.strerror or str(error)) from None
    except ValueError as error:  # a NUL in the name
        raise TranscriptError(path, str(error)) from None


class Meter:
    """A progress bar over characters, or nothing at all if it is not wanted."""

    def __init__(self, total: int | None, label: str) -> None:
        self._progress: Progress | None = None
        self._task: TaskID | None = None
        if total is not None:
            from rich.console import Console
            from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

            self._progress = Progress(
                TextColumn("{task.description}", markup=False),
                BarColumn(),
                TaskProgressColumn(),
                TimeRemainingColumn(),
                console=Console(stderr=True),
                transient=True,
            )
            self._task = self._progress.add_task(label, total=total)

    def __enter__(self) -> Meter:
        if self._progress is not None:
            self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._progress is not None:
            self._progress.stop()

    @property
    def shown(self) -> bool:
        """Whether there is a bar."""
        return self._progress is not None

    def advance(self, amount: float, label: str | None = None) -> None:
        """So much more is done."""
        if self._progress is not None and self._task is not None:
            if label is None:
                self._progress.update(self._task, advance=amount)
            else:
                self._progress.update(self._task, advance=amount, description=label)

    @contextmanager
    def aside(self) -> Iterator[None]:
        """Take the bar off the screen while something else is written to it."""
        if self._progress is None:
            yield
            return
        self._progress.stop()
        try:
            yield
        finally:
            self._progress.start()


class Inputs:
    """All transcripts of the named files. `failed` counts files (and records) that could not be read;
    `scale` is bytes per character of text in the current file, for the progress bar."""

    def __init__(self, paths: Sequence[str], kind: InputKind | None) -> None:
        self.paths = paths
        self.kind = kind
        self.failed = 0
        self.scale = 1.0

    def meter(self) -> Meter:
        """A bar if there is much to read and somebody to see it."""
        total = 0
        for path in self.paths:
            try:
                total += Path(path).stat().st_size if path != STDIN else 0
            except (OSError, ValueError):
                pass
        wanted = err_is_terminal() and (len(self.paths) >= MANY_FILES or total >= LARGE)
        return Meter(max(total, 1) if wanted else None, "reading")

    def refuse(self, message: str, meter: Meter) -> None:
        """Say what could not be read, and remember it for the exit code."""
        self.failed += 1
        with meter.aside():
            complain(message)

    def transcripts(self, meter: Meter) -> Iterator[Transcript]:
        """Every readable transcript, in the order of the command line; remarks go to standard error."""
        seen_stdin = False
        for path in self.paths:
            try:
                if path == STDIN and seen_stdin:
                    raise TranscriptError(path, "standard input can be read once only")
                seen_stdin = seen_stdin or path == STDIN
                data = read_bytes(path)
                found = read_transcripts(data, path, self.kind)
            except TranscriptError as error:
                self.refuse(str(error), meter)
                continue
            self.scale = len(data) / max(1, sum(transcript.size for transcript in found))
            for transcript in found:
                if transcript.remarks:
                    with meter.aside():
                        for remark in transcript.remarks:
                            complain(f"{transcript.label}: {remark}")
                yield transcript
