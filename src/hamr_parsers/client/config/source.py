"""Where a value comes from, and values that know it.

Theory. Configuration is gathered from several files, the environment, options and defaults; what a person asks
of it is not only what holds but why. So nothing is merged without its `Source`, and `hamr-parse config` only prints
what is there.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Generic, Literal, TypeVar

__all__ = ["Source", "Sourced", "shown_path"]

T = TypeVar("T", covariant=True)

Kind = Literal["file", "preset", "environment", "option", "default", "gateway", "detected"]


@dataclass(frozen=True, slots=True)
class Source:
    """Where a value stands: a file and its key, or what else gave it (`what` says it in a word)."""

    kind: Kind
    what: str = ""
    file: Path | None = None
    key: str = ""

    def __str__(self) -> str:
        if self.kind == "file" and self.file is not None:
            return f"{shown_path(self.file)}: {self.key}"
        return f"{self.kind} {self.what}" if self.what else self.kind

    def to_dict(self) -> dict[str, str]:
        """A JSON-ready dict: `kind`, and what is known."""
        out: dict[str, str] = {"kind": self.kind}
        if self.file is not None:
            out["file"] = str(self.file)
        if self.key:
            out["key"] = self.key
        if self.what:
            out["what"] = self.what
        return out


@dataclass(frozen=True, slots=True)
class Sourced(Generic[T]):
    """A value and where it comes from."""

    value: T
    source: Source


def shown_path(path: Path) -> str:
    """A path as people write it, with `~` for the home directory."""
    try:
        return str(Path("~") / path.relative_to(Path.home()))
    except (ValueError, RuntimeError):
        return str(path)
