"""The wire: chat completions as gateways send them in, the shape that every client takes out.

Theory. Sans-IO, as the engine is: chunks in, chunks out (`ChatNormalizer`), or bytes in, bytes out (`SSENormalizer`),
or objects of an SDK (`normalize_stream`); a whole answer is one long chunk. All are made by an `Exchange`, which knows
what was asked. Inside, a chunk goes down and comes up again:

    bytes -> sse -> stream (envelopes) -> choice (one of n) -> StreamParser        text and reasoning
                                                           -> native -> calls      calls of the server
    bytes <- sse <- stream             <- choice           <- calls                one order, no doubles

Adapters (`responses`, `anthropic`) turn what comes out into the events of other protocols. The deviations that are
taken, and the shape that is given out, are those of docs/gateways.md.
"""

from __future__ import annotations

from .collect import Collector, message_of
from .errors import UpstreamError, error_in
from .objects import AsyncNormalizedStream, NormalizedStream, normalize_response, normalize_stream
from .report import Report
from .request import Exchange, WireOptions
from .sse import DONE, SSEDecoder, SSEEvent, encode_event, looks_like_events
from .sse_stream import SSENormalizer
from .stream import ChatNormalizer
from .whole import gather, normalize_completion

__all__ = [
    "DONE",
    "AsyncNormalizedStream",
    "ChatNormalizer",
    "Collector",
    "Exchange",
    "NormalizedStream",
    "Report",
    "SSEDecoder",
    "SSEEvent",
    "SSENormalizer",
    "UpstreamError",
    "WireOptions",
    "encode_event",
    "error_in",
    "gather",
    "looks_like_events",
    "message_of",
    "normalize_completion",
    "normalize_response",
    "normalize_stream",
]
