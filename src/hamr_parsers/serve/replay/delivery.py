"""How an answer goes out: held, paced, refused, broken off. What the HTTP layer is told beside the bytes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

__all__ = ["Delivery", "Refusal"]


@dataclass(frozen=True, slots=True)
class Refusal:
    """An answer instead of the answer."""

    status: int
    body: str
    content_type: str = "application/json"
    headers: tuple[tuple[str, str], ...] = ()


@dataclass(slots=True)
class Delivery:
    """What happens to one answer below its content.

    Attributes:
        refusal: sent instead of the answer; `refusals` limits it to the first so many requests of the gateway (0:
            all); `everywhere`: also on `/models`; `unless` names headers which, if they are all sent, avert it.
        hold: seconds before the status line; silence: seconds between the headers and the first piece.
        gap: seconds between pieces; None: as the gateway's rate says.
        after: the piece before which `end` happens: a share of all pieces below 1, else their number.
        end: "whole" sends all; "drop" closes the connection, "reset" resets it, "stall" goes silent for good.
        serialised: waits until no other answer is being sent.
        switch_kills: answers of other models that are being sent end at once.
        as_response, as_stream: sends the other form than was asked for.
        content_type: of a stream.
        framing: "chunked", or "close" for a body that ends with the connection.
        models: what `/models` says.
    """

    refusal: Refusal | None = None
    refusals: int = 0
    everywhere: bool = False
    unless: tuple[str, ...] = ()
    hold: float = 0.0
    silence: float = 0.0
    gap: float | None = None
    after: float = 0.5
    end: Literal["whole", "drop", "reset", "stall"] = "whole"
    serialised: bool = False
    switch_kills: bool = False
    as_response: bool = False
    as_stream: bool = False
    content_type: str = "text/event-stream"
    framing: Literal["chunked", "close"] = "chunked"
    models: Literal["usual", "none", "many"] = "usual"

    def stop(self, pieces: int) -> int:
        """The number of pieces that are sent before the end."""
        if self.end == "whole":
            return pieces
        return min(int(self.after * pieces if self.after < 1 else self.after), pieces)
