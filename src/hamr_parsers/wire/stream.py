"""A streamed answer: chat completion chunks in, chunks of the safe shape out.

Theory. A chunk is an envelope (id, model, unknown fields) around the deltas of some choices. `Choice` makes of each
delta what is to be given out; here it is put back into envelopes. The chunk itself is given out, untouched, where
nothing about it changes: so a well-behaved stream passes as it came.

What is held: the finish reason, to the end of the answer, since some gateways send one after every chunk, and since
only the end tells whether all calls are whole; usage, which comes once, last; and what the parser holds. The end is
the end of the stream, or a chunk of usage after every choice has its finish reason.

Unknown fields stay: those of the chunk and of the choice on the first chunk that comes of it, or on one of their own
if nothing else does. All chunks of one answer have one id.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from .choice import Choice, unknown_fields
from .errors import UpstreamError, error_in
from .native import index_of
from .report import Report
from .request import Exchange

__all__ = ["ChatNormalizer"]

_OBJECT = "chat.completion.chunk"
#: What every chunk of an answer has.
_ENVELOPE = ("id", "object", "created", "model", "service_tier", "system_fingerprint", "provider")
_CHOICE = frozenset(("index", "delta", "message", "finish_reason", "text"))


class ChatNormalizer:
    """Reads one streamed answer.

    Attributes:
        error: what the gateway reported inside the stream; what came before it was given out.
        report: what was done.
    """

    __slots__ = (
        "_base", "_choices", "_closed", "_exchange", "_finishes", "_id", "_logprobs", "_spoilt", "_usage",
        "_usage_chunk", "error", "report",
    )  # fmt: skip

    def __init__(self, exchange: Exchange | None = None) -> None:
        self._exchange = exchange if exchange is not None else Exchange()
        self.report = Report()
        self.error: UpstreamError | None = None
        self._choices: dict[int, Choice] = {}
        self._finishes: dict[int, tuple[dict[str, Any], dict[str, Any]]] = {}
        self._logprobs: dict[int, dict[str, Any]] = {}
        self._base: dict[str, Any] = {}
        self._id: str | None = None
        self._usage: Any = None
        self._usage_chunk: dict[str, Any] | None = None
        self._closed = False
        self._spoilt = False

    def feed(self, chunk: Mapping[str, Any], named: str | None = None) -> list[dict[str, Any]]:
        """Read a chunk; return what is to be given out for it.

        Args:
            chunk: a chat completion chunk, or whatever the gateway sent in the place of one.
            named: the name of the event that it came in.
        """
        if self._closed:
            return []
        out = self._quick(chunk) if named is None else None
        return self._feed(chunk, named) if out is None else out

    def _quick(self, chunk: Mapping[str, Any]) -> list[dict[str, Any]] | None:
        """The hot path: a piece of content in a whole envelope, and nothing else that concerns us; else None."""
        choices = chunk.get("choices")
        if type(choices) is not list or len(choices) != 1 or chunk.get("id") != self._id:
            return None
        if chunk.get("object") != _OBJECT or "created" not in chunk:
            return None
        if "error" in chunk or "relay" in chunk or "type" in chunk:
            return None
        one = choices[0]
        if type(one) is not dict or one.get("finish_reason") is not None or chunk.get("usage") is not None:
            return None
        delta, index = one.get("delta"), one.get("index")
        if type(delta) is not dict or len(delta) != 1 or type(index) is not int:
            return None
        text, choice = delta.get("content"), self._choices.get(index)
        if type(text) is not str or not text or choice is None:
            return None
        if choice.quick(text) and index not in self._logprobs:
            return [chunk]  # type: ignore[list-item]
        return self._wrap(chunk, one, index, choice, {})

    def spoil(self) -> None:
        """A part of the stream could not be read: the answer is not whole."""
        self._spoilt = True

    def close(self, died: bool = False) -> list[dict[str, Any]]:
        """The stream is over; return the rest. Calling it again does nothing.

        Args:
            died: the connection broke: the answer is cut, unless its finish reason had come.
        """
        if self._closed:
            return []
        out = self._end(died)
        self._closed = True
        return out

    # -- chunks ------------------------------------------------------------------------------------------------

    def _feed(self, chunk: Mapping[str, Any], named: str | None) -> list[dict[str, Any]]:
        error = error_in(chunk, named)
        if error is not None:
            out = [] if not chunk.get("choices") else self._chunk({**chunk, "error": None})
            out += self.close(died=True) if self._choices else []
            self._closed = True
            self.error = error
            return out
        if not isinstance(chunk.get("choices"), (list, tuple)) and not (
            chunk.keys() & {"usage", "object", "id", "relay"}
        ):
            if chunk:
                self.report.repairs["unknown_event"] += 1
            return []  # a ping, or something else that is no chunk
        return self._chunk(chunk)

    def _chunk(self, chunk: Mapping[str, Any]) -> list[dict[str, Any]]:
        self._remember(chunk)
        usage = chunk.get("usage")
        if usage is not None and not self._exchange.continuous_usage:
            self._usage = usage
            self._usage_chunk = None
        choices = chunk.get("choices")
        if not isinstance(choices, (list, tuple)):
            self.report.repairs["choices"] += 1
            choices = []
        choices = [one for one in choices if isinstance(one, Mapping)]
        if not any(_says(one) for one in choices):
            aside = self._aside(chunk, choices)
            if aside is not None:
                return aside
        out: list[dict[str, Any]] = []
        for position, one in enumerate(choices):
            out += self._one(chunk, one, position)
        return out

    def _aside(
        self, chunk: Mapping[str, Any], choices: list[Mapping[str, Any]]
    ) -> list[dict[str, Any]] | None:
        """A chunk that says nothing of the answer: usage, a loading frame, a filter's verdict; None: it is none."""
        usage = chunk.get("usage")
        if usage is not None and self._finishes and not any(one.get("finish_reason") for one in choices):
            self._usage = usage
            if choices or not isinstance(chunk.get("choices"), (list, tuple)):
                self.report.repairs["usage"] += 1
            self._usage_chunk = dict(chunk)
            return []
        if choices and not isinstance(chunk.get("relay"), Mapping):
            return None
        if choices:
            self.report.repairs["loading"] += 1
        rest = {k: v for k, v in chunk.items() if k not in _ENVELOPE and k not in ("choices", "usage")}
        if usage is not None and not self._exchange.continuous_usage and not any(rest.values()):
            self._usage_chunk = dict(chunk)
            return []
        return [self._with(chunk, [], first=True)]

    def _one(self, chunk: Mapping[str, Any], one: Mapping[str, Any], position: int) -> list[dict[str, Any]]:
        """What is to be given out for one choice of a chunk."""
        index = one.get("index")
        if type(index) is not int:
            self.report.repairs["choice_index"] += 1
            index = index_of(index)
            index = position if index is None else index
        choice = self._choices.get(index)
        if choice is None:
            choice = self._choices[index] = Choice(self._exchange, self.report)
        delta = self._delta(one, choice)
        says = _says({"delta": delta})
        if not choice.begun and delta.get("role") is None and says:
            self.report.repairs["role"] += 1
        model = chunk.get("model")
        choice.feed(delta, model if isinstance(model, str) and model else None)
        finish = one.get("finish_reason")
        if isinstance(finish, str) and finish:
            choice.finish, choice.finished = finish, True
            earlier = self._finishes.get(index)
            if earlier is not None:
                one = {**earlier[1], **one}
                if isinstance(earlier[1].get("logprobs"), Mapping):
                    fields = dict(one)
                    _join_logprobs(fields, earlier[1]["logprobs"])
                    one = fields
            self._finishes[index] = (dict(chunk), dict(one))
            if says:
                self.report.repairs["finish_on_delta"] += 1
            bare = {k: v for k, v in one.items() if k in ("index", "delta")}
            return self._wrap({k: v for k, v in chunk.items() if k in _ENVELOPE}, bare, index, choice, {})
        if says:
            choice.finished = False
            if index in self._finishes:
                self.report.repairs["early_finish"] += 1
        return self._wrap(chunk, one, index, choice, unknown_fields(delta))

    def _delta(self, one: Mapping[str, Any], choice: Choice) -> Mapping[str, Any]:
        """The delta of a choice, whatever it is called."""
        delta = one.get("delta")
        if isinstance(delta, Mapping):
            choice.deltas = choice.deltas or _says(one)
            return delta
        self.report.repairs["delta"] += 1
        message = one.get("message")
        if isinstance(message, Mapping):
            if not choice.deltas:
                return message
            # behind deltas it is all of them again, but for calls that did not come in any
            return {} if choice.called else {"tool_calls": message.get("tool_calls")}
        text = one.get("text")
        return {"content": text} if isinstance(text, str) else {}

    def _remember(self, chunk: Mapping[str, Any]) -> None:
        base = self._base
        for key in _ENVELOPE:
            value = chunk.get(key)
            if value and isinstance(value, int if key == "created" else str):
                base.setdefault(key, value)
        if self._id is None and "id" in base:
            self._id = base["id"]

    # -- envelopes ---------------------------------------------------------------------------------------------

    def _wrap(
        self,
        chunk: Mapping[str, Any],
        one: Mapping[str, Any],
        index: int,
        choice: Choice,
        extra: dict[str, Any],
    ) -> list[dict[str, Any]]:
        """The deltas of a choice in chunks; the chunk itself if they are what it says."""
        deltas = choice.take()
        fields = {k: v for k, v in one.items() if k not in _CHOICE}
        held = self._logprobs.pop(index, None)
        if held is not None:
            _join_logprobs(fields, held)
        if not deltas:
            logprobs = fields.pop("logprobs", None)
            if isinstance(logprobs, Mapping):
                self._logprobs[index] = dict(logprobs)
            told = {k: v for k, v in chunk.items() if k not in _ENVELOPE and k not in ("choices", "usage")}
            if not (_any(extra) or _any(fields) or _any(told)):
                return []
            deltas = [{**choice.open(), **extra}]
        elif extra:
            deltas[0].update({k: v for k, v in extra.items() if k not in deltas[0]})
        out = []
        for number, delta in enumerate(deltas):
            if number:
                fields = {k: v for k, v in fields.items() if v is None}
            made = {"index": index, "delta": delta, **fields, "finish_reason": None}
            out.append(self._with(chunk, [made], first=not number))
        plain = type(one.get("index")) is int and not choice.odd
        if plain and len(out) == 1 and self._same(out[0], chunk):
            return [chunk]  # type: ignore[list-item]
        return out

    def _same(self, made: dict[str, Any], chunk: Mapping[str, Any]) -> bool:
        """Whether a chunk says what it is made of; keys that are null count as absent in neither."""
        return made == chunk or _sorted(made) == _sorted(chunk)

    def _with(self, chunk: Mapping[str, Any], choices: list[Any], first: bool) -> dict[str, Any]:
        base = self._base
        out: dict[str, Any] = {
            "id": self._id or self._new_id(),
            "object": _OBJECT,
            "created": base.setdefault("created", int(time.time())),
            "model": base.get("model") or self._exchange.model() or "",
        }
        self._id = out["id"]
        for key in _ENVELOPE:
            if key in chunk and key not in out:
                out[key] = chunk[key]
        if type(chunk.get("created")) is int:
            out["created"] = chunk["created"]
        if isinstance(chunk.get("model"), str) and chunk["model"]:
            out["model"] = chunk["model"]
        out["choices"] = choices
        for key, value in chunk.items():
            if key in out or key == "usage" and value is not None and not self._exchange.continuous_usage:
                continue
            if first or value is None:
                out[key] = value
        return out

    def _new_id(self) -> str:
        return "chatcmpl-" + self._exchange.new_id().removeprefix("call_")

    # -- the end -----------------------------------------------------------------------------------------------

    def _end(self, died: bool) -> list[dict[str, Any]]:
        out: list[dict[str, Any]] = []
        if not self._choices:
            if died:
                return []
            self._choices[0] = Choice(self._exchange, self.report)
        usage, usage_chunk = self._usage, self._usage_chunk
        apart = usage_chunk is not None or self._exchange.wants_usage
        for index, choice in self._choices.items():
            chunk, one = self._finishes.get(index, ({}, {}))
            whole = not self._spoilt and (choice.finished or not died)
            reason = choice.close(choice.finish if whole else None)
            out += self._wrap(self._base, {}, index, choice, {})
            delta = one.get("delta")
            extra = unknown_fields(delta) if isinstance(delta, Mapping) else {}
            fields = {k: v for k, v in one.items() if k not in _CHOICE}
            held = self._logprobs.pop(index, None)
            if held is not None:
                _join_logprobs(fields, held)
            made = {
                "index": index,
                "delta": {k: v for k, v in extra.items() if v is not None},
                **fields,
                "finish_reason": reason,
            }
            last = self._with(chunk, [made], first=True)
            if usage is not None and not apart and index == list(self._choices)[-1]:
                last["usage"] = usage
            out.append(chunk if chunk and self._same(last, chunk) else last)
        if apart and usage is not None:
            chunk = usage_chunk or {}
            last = self._with(chunk, [], first=True)
            last["usage"] = usage
            out.append(chunk if chunk and self._same(last, chunk) else last)
        return out


def _says(one: Mapping[str, Any]) -> bool:
    """Whether a choice of a chunk brings anything of the answer."""
    delta = one.get("delta")
    return isinstance(delta, Mapping) and any(value for key, value in delta.items() if key != "role")


def _any(fields: Mapping[str, Any]) -> bool:
    return any(value is not None and value != [] and value != {} for value in fields.values())


def _sorted(value: Mapping[str, Any]) -> dict[str, Any]:
    """A chunk without what may be there or not: a finish reason that is none."""
    choices = value.get("choices")
    if not isinstance(choices, list):
        return dict(value)
    bare = [
        {k: v for k, v in one.items() if k != "finish_reason" or v is not None}
        if isinstance(one, Mapping)
        else one
        for one in choices
    ]
    return {**value, "choices": bare}


def _join_logprobs(fields: dict[str, Any], held: Mapping[str, Any]) -> None:
    """Log probabilities of tokens whose text was held, before those that come now."""
    now = fields.get("logprobs")
    if not isinstance(now, Mapping):
        fields["logprobs"] = dict(held)
        return
    joined = {**held, **now}
    for key, value in held.items():
        if isinstance(value, list) and isinstance(now.get(key), list):
            joined[key] = value + now[key]
    fields["logprobs"] = joined
