"""Readers of captured model output: files in, `Transcript` values out.

Theory. People keep what a model said in whatever shape their tool had at hand: the bare text, an SSE capture
of `/chat/completions`, its chunks as JSON lines, a whole chat completion, or case records of a test suite.
Which of these a file holds is told by its content, never by its name. All of them come down to the same
thing: pieces of text in the order of their arrival, each on one of two channels, content or reasoning. The
parser takes it from there. Readers are pure functions of bytes; none of them opens a file, and none raises
for what a *model* wrote: `TranscriptError` is for files that cannot be read as what they claim to be.
"""

from __future__ import annotations

from .feed import cut
from .model import INPUT_KINDS, Channel, InputKind, Transcript, TranscriptError
from .read import detect, read_transcripts
from .text import decode_text

__all__ = [
    "INPUT_KINDS",
    "Channel",
    "InputKind",
    "Transcript",
    "TranscriptError",
    "cut",
    "decode_text",
    "detect",
    "read_transcripts",
]
