"""Faults of the event stream: `[DONE]`, comments, other events, errors in the middle, and how bytes are cut."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ..saying import REQUEST
from ..shape import DONE, Chunk, Frame
from .registry import fault

__all__ = ["loading"]

FRAMES = list[Frame]
PIECES = list[bytes]
TABLE = "malformations: "


# --- the end --------------------------------------------------------------------------------------------------

fault(
    "no-done",
    "The stream ends without [DONE].",
    "transformers serve, ik_llama.cpp",
    frames=lambda frames: [frame for frame in frames if frame.data != DONE],
)
fault(
    "no-last-blank",
    "The blank line after the last event is missing.",
    "llama.cpp",
    pieces=lambda pieces: [*pieces[:-1], pieces[-1].rstrip(b"\r\n")],
)

# --- comments and other events --------------------------------------------------------------------------------


def _comments(frames: FRAMES) -> FRAMES:
    for count, frame in enumerate(frames):
        if count % 4 == 0:
            frame.comments.append("OPENROUTER PROCESSING")
    return frames


fault("comments", "Comments stand between the events.", "OpenRouter", frames=_comments)


def _between(frames: FRAMES, every: int, extra: Frame) -> FRAMES:
    made = [extra]
    for count, frame in enumerate(frames, 1):
        made.append(frame)
        if count % every == 0 and frame.data != DONE:
            made.append(extra)
    return made


fault(
    "pings",
    "Bare `:` lines stand between the events.",
    "llama.cpp",
    frames=lambda frames: _between(frames, 3, Frame(comments=[""])),
)
fault(
    "ping-events",
    "Events named ping, with {} as their data, stand between the others.",
    TABLE + "event: ping with {}",
    frames=lambda frames: _between(frames, 3, Frame("{}", "ping")),
)


def _head(frames: FRAMES) -> dict[str, Any]:
    for frame in frames:
        if isinstance(frame.data, Chunk):
            return {key: frame.data[key] for key in ("created", "model") if key in frame.data}
    return {}


_FAILED = {"message": "the model could not be loaded: out of memory", "code": "model_load_failed"}


def loading(frames: FRAMES, failed: bool = False) -> FRAMES:
    """The frames that Relay sends while it loads a model; if that failed, its error and the end."""

    def frame(kind: str, message: str, **more: Any) -> Frame:
        choice = {"index": 0, "delta": {}, "finish_reason": None}
        data = {
            "id": f"chatcmpl-load{REQUEST}",
            "object": "chat.completion.chunk",
            **_head(frames),
            "choices": [choice],
            "relay": {"type": kind, "message": message, **more},
        }
        return Frame(data, kind, [message])

    first = [
        frame("relay.loading", "loading model", elapsed_ms=3000),
        frame("relay.loading", "loading model", elapsed_ms=6000),
    ]
    if failed:
        return [*first, frame("relay.error", "loading failed", error=_FAILED), Frame(DONE)]
    return [*first, frame("relay.loaded", "model loaded"), *frames]


fault(
    "loading-frames",
    "Comments and relay.loading events, with ids of their own, come before the role.",
    "Relay",
    frames=loading,
)
fault(
    "relay-error",
    "Loading frames, then a relay.error and [DONE], in a 200 stream; 502 when not streamed.",
    "Relay",
    outcome="error",
    frames=lambda frames: loading(frames, failed=True),
    response=lambda _: {"error": _FAILED},
)


_ERROR = {"code": 500, "message": "Failed to parse input at pos 12", "type": "server_error"}


def _error(frames: FRAMES) -> FRAMES:
    kept = frames[: max(1, len(frames) // 2)]
    return [*kept, Frame({"error": _ERROR})]


fault(
    "error-in-stream",
    "In the middle of a 200 stream comes an error object, and no [DONE]; 500 when not streamed.",
    "llama.cpp, OpenRouter, LiteLLM proxy",
    outcome="error",
    frames=_error,
    response=lambda _: {"error": _ERROR},
)


def _error_event(frames: FRAMES) -> FRAMES:
    *kept, last = _error(frames)
    return [*kept, Frame(last.data, "error")]


fault(
    "error-event",
    "In the middle of a 200 stream comes an event named error.",
    "error object in a 200 stream",
    outcome="error",
    frames=_error_event,
    response=lambda _: {"error": _ERROR},
)

# --- lines ----------------------------------------------------------------------------------------------------

fault(
    "crlf",
    "Lines end in CR LF.",
    "harmless: CRLF",
    pieces=lambda pieces: [piece.replace(b"\n", b"\r\n") for piece in pieces],
)
fault(
    "cr",
    "Lines end in a lone CR.",
    "allowed by the protocol",
    pieces=lambda pieces: [piece.replace(b"\n", b"\r") for piece in pieces],
)
fault(
    "no-space",
    "No blank stands after `data:`.",
    "harmless: data: without a space",
    pieces=lambda pieces: [piece.replace(b"data: ", b"data:", 1) for piece in pieces],
)
fault(
    "no-blanks",
    "No blank line stands between the events.",
    "missing blank lines",
    pieces=lambda pieces: [piece.removesuffix(b"\n") for piece in pieces],
)
fault(
    "bom",
    "The stream begins with a byte order mark.",
    "allowed by the protocol",
    pieces=lambda pieces: [b"\xef\xbb\xbf" + pieces[0], *pieces[1:]],
)
fault(
    "event-fields",
    "Events have id and retry lines, and a name.",
    "allowed by the protocol",
    pieces=lambda pieces: [
        b"id: %d\nretry: 3000\nevent: message\n" % count + piece if piece.startswith(b"data:") else piece
        for count, piece in enumerate(pieces)
    ],
)

# --- pieces ---------------------------------------------------------------------------------------------------


def _join(pieces: PIECES) -> bytes:
    return b"".join(pieces)


def _split_utf8(pieces: PIECES) -> PIECES:
    """Every character of several bytes begins in one piece and ends in the next."""
    made: PIECES = []
    start = 0
    whole = _join(pieces)
    for at, byte in enumerate(whole):
        if byte >= 0xC0:
            made.append(whole[start : at + 1])
            start = at + 1
    return [*made, whole[start:]]


fault(
    "split-utf8",
    "Characters of several bytes are cut between two pieces of the body.",
    "split UTF-8",
    pieces=_split_utf8,
)


def _sized(pieces: PIECES, size: float) -> PIECES:
    whole, step = _join(pieces), max(1, int(size))
    return [whole[at : at + step] for at in range(0, len(whole), step)]


fault(
    "small-pieces",
    "The body comes in pieces of so many bytes, without regard to events.",
    "how networks cut",
    number=7,
    pieces=_sized,
)
fault(
    "one-piece",
    "The whole stream comes at once.",
    "proxies that buffer",
    pieces=lambda pieces: [_join(pieces)],
)


def _halfway(pieces: PIECES) -> Iterator[bytes]:
    held = b""
    for piece in pieces:
        half = len(piece) // 2
        yield held + piece[:half]
        held = piece[half:]
    yield held


fault(
    "torn-events",
    "Each piece of the body has the end of one event and the beginning of the next.",
    "how networks cut",
    pieces=lambda pieces: list(_halfway(pieces)),
)
