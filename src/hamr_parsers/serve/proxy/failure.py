"""What goes wrong between the proxy and its two sides, in words for the client's side.

Theory. Whoever reads one of these sits behind a client which shows `error.message` and little else; so the message
names the upstream, what it did and what to check. The HTTP status tells programs the kind: 502 the upstream is
dead or answers nonsense, 504 it is silent, 4xx the request itself. What the upstream says about an error in its own
JSON is passed on as it is, and is none of these.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from ...wire import UpstreamError

__all__ = ["ENDED", "Failure", "Kind"]

ENDED = "the proxy was ended before the answer was over"

Kind = Literal[
    "connect",
    "connect_timeout",
    "timeout",
    "broken",
    "not_json",
    "status",
    "in_stream",
    "too_large",
    "request",
    "cut",
]


@dataclass
class Failure(Exception):
    """An exchange failed.

    Attributes:
        kind: for metrics.
        status: the HTTP status for the client, if nothing was sent yet.
        message: one sentence for a person.
    """

    kind: Kind
    status: int
    message: str

    def __str__(self) -> str:
        return self.message

    @property
    def code(self) -> str:
        """A word for programs."""
        if self.kind in ("request", "too_large"):
            return "invalid_request"
        return f"upstream_{self.kind}"

    @property
    def type(self) -> str:
        """The OpenAI error type."""
        return "invalid_request_error" if self.status < 500 else "upstream_error"

    def to_openai(self) -> dict[str, object]:
        """The error object of the chat API."""
        return {"error": {"message": self.message, "type": self.type, "param": None, "code": self.code}}

    def as_upstream_error(self) -> UpstreamError:
        """The same for the wire layer's adapters."""
        return UpstreamError(self.message, self.code, self.status)
