"""What a client tells while it waits, and how long it waits.

Theory. A local gateway may load a model for minutes before the first byte, and then read a long prompt in silence.
So the wait for the first piece of an answer is long and is told to the user; once the answer flows, a silence means
that something broke, and the wait is short. Every limit is one of silence: a gateway that says anything at all, a
comment or a loading frame, is alive.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Literal

__all__ = ["Notice", "Timeout"]


@dataclass(slots=True)
class Notice:
    """Something that a person who waits wants to know; `message` is one sentence.

    `kind` is "loading" (the gateway says that it loads the model), "waiting" (nothing came for a while), "retry" (it
    is tried again), "cut" (the answer ended without its end) or "warning" (something about the configuration).
    `seconds` is how long this has been going on.
    """

    type: ClassVar[Literal["notice"]] = "notice"
    kind: Literal["loading", "waiting", "retry", "cut", "warning"]
    message: str
    seconds: float = 0.0

    def to_dict(self) -> dict[str, Any]:
        """A JSON-ready dict: `type` first."""
        return {"type": self.type, "kind": self.kind, "message": self.message, "seconds": self.seconds}


@dataclass(frozen=True, slots=True)
class Timeout:
    """Seconds; None is no limit.

    Attributes:
        connect: to make a connection.
        first: silence before the first piece of the answer: loading a model, reading the prompt.
        between: silence between two pieces.
        models: for the whole answer of `/models`.
        notice: silence after which a notice says so.
    """

    connect: float | None = 5.0
    first: float | None = 600.0
    between: float | None = 120.0
    models: float | None = 15.0
    notice: float = 10.0

    @classmethod
    def of(cls, value: Timeout | float | None) -> Timeout:
        """One number is the limit of every silence (connecting apart, where it can only be shorter)."""
        if isinstance(value, Timeout):
            return value
        if value is None:
            return cls(first=None, between=None, models=None)
        if value <= 0:
            raise ValueError("timeout must be more than 0")
        return cls(connect=min(5.0, value), first=value, between=value, models=value)
