"""`normalize_stream` and `normalize_response`: for an agent loop that has a client already.

Theory. What comes in are the objects of some SDK (pydantic models: `openai` 2 and 3, litellm) or plain dicts; the
same types come out. A model is turned into a dict of what was set in it, read as any chunk, and only what changed is
made into a model again, leniently, as the SDK itself builds its objects; an unchanged chunk is the very object.
"""

from __future__ import annotations

from collections.abc import AsyncIterable, AsyncIterator, Iterable, Iterator, Mapping
from typing import Any, Generic, TypeVar, cast, overload

from .errors import UpstreamError, error_in
from .report import Report
from .request import Exchange, WireOptions
from .stream import ChatNormalizer
from .whole import normalize_completion

__all__ = ["AsyncNormalizedStream", "NormalizedStream", "normalize_response", "normalize_stream"]

T = TypeVar("T")


class _Wrapped:
    """What sync and async streams share: objects to dicts and back, and the wrapped stream's own attributes."""

    def __init__(self, stream: Any, exchange: Exchange) -> None:
        self._stream = stream
        self._normalizer = ChatNormalizer(exchange)
        self._type: Any = None
        self._came = False

    @property
    def report(self) -> Report:
        """What was done so far."""
        return self._normalizer.report

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        return getattr(self._stream, name)

    def _feed(self, chunk: Any) -> list[Any]:
        value = _to_dict(chunk)
        if value is None:
            return [chunk]  # not a chunk: none of our business
        self._came = True
        if self._type is None and not isinstance(chunk, dict):
            self._type = type(chunk)
        made = self._normalizer.feed(value)
        return [chunk if one is value else self._back(one) for one in made]

    def _rest(self, died: bool) -> list[Any]:
        """What is still to come. Of a stream without a chunk the type is not known, and an SDK makes one of an answer
        that was no event stream at all (a web page, a whole response), without a word."""
        if not self._came:
            if died:
                return []
            raise UpstreamError("its answer had no chunk: nothing came, or no event stream")
        return [self._back(one) for one in self._normalizer.close(died)]

    def _back(self, value: dict[str, Any]) -> Any:
        return value if self._type is None else _from_dict(self._type, value)


class NormalizedStream(_Wrapped, Generic[T]):
    """A stream of chunks in the safe shape. Attributes of the wrapped stream (`response`, `close`) are there, too.

    When the wrapped stream raises, what came is given out first, with a last chunk whose `finish_reason` is "length";
    then the same exception is raised. An error that the gateway sent as a chunk raises `UpstreamError` the same way,
    and so does a stream without any chunk.
    """

    def __init__(self, stream: Iterable[T], exchange: Exchange) -> None:
        super().__init__(stream, exchange)
        self._chunks = self._iterate()

    def __iter__(self) -> Iterator[T]:
        return self

    def __next__(self) -> T:
        return next(self._chunks)

    def __enter__(self) -> NormalizedStream[T]:
        if hasattr(self._stream, "__enter__"):
            self._stream.__enter__()
        return self

    def __exit__(self, *details: Any) -> None:
        if hasattr(self._stream, "__exit__"):
            self._stream.__exit__(*details)

    def _iterate(self) -> Iterator[T]:
        try:
            for chunk in self._stream:
                yield from self._feed(chunk)
                if self._normalizer.error is not None:
                    raise self._normalizer.error
        except Exception:
            yield from self._rest(died=True)
            raise
        yield from self._rest(died=False)


class AsyncNormalizedStream(_Wrapped, Generic[T]):
    """`NormalizedStream` for an asynchronous stream."""

    def __init__(self, stream: AsyncIterable[T], exchange: Exchange) -> None:
        super().__init__(stream, exchange)
        self._chunks = self._iterate()

    def __aiter__(self) -> AsyncIterator[T]:
        return self

    async def __anext__(self) -> T:
        return await anext(self._chunks)

    async def __aenter__(self) -> AsyncNormalizedStream[T]:
        if hasattr(self._stream, "__aenter__"):
            await self._stream.__aenter__()
        return self

    async def __aexit__(self, *details: Any) -> None:
        if hasattr(self._stream, "__aexit__"):
            await self._stream.__aexit__(*details)

    async def _iterate(self) -> AsyncIterator[T]:
        try:
            async for chunk in self._stream:
                for one in self._feed(chunk):
                    yield one
                if self._normalizer.error is not None:
                    raise self._normalizer.error
        except Exception:
            for one in self._rest(died=True):
                yield one
            raise
        for one in self._rest(died=False):
            yield one


@overload
def normalize_stream(
    stream: AsyncIterable[T], *, request: Mapping[str, Any] | None = ..., **options: Any
) -> AsyncNormalizedStream[T]: ...
@overload
def normalize_stream(
    stream: Iterable[T], *, request: Mapping[str, Any] | None = ..., **options: Any
) -> NormalizedStream[T]: ...
def normalize_stream(
    stream: Any, *, request: Mapping[str, Any] | None = None, **options: Any
) -> NormalizedStream[Any] | AsyncNormalizedStream[Any]:
    """A stream of chat completion chunks, in the safe shape that every client takes.

    Calls that the gateway left as text become `tool_calls`, reasoning gets its own field, the shape of the gateway's
    own calls is mended, `finish_reason` is right. The same types come out as went in.

    Args:
        stream: what `client.chat.completions.create(..., stream=True)` returned, of `openai` 2 or 3, sync or async;
            or any iterable of chunks, also as dicts.
        request: the arguments of `create`, as a mapping: tools, tool choice, model and thinking flags are taken from
            it. Without it give `tools=` at least, so that names can be checked and arguments typed.
        options: those of `WireOptions`.

    Raises:
        UnknownParserError, InvalidToolsError, ValueError: for the options. While iterating: what the stream raises,
            after what came was given out, and `UpstreamError` for an error inside the stream, or no chunk in it.
    """
    exchange = Exchange(_flat(request), WireOptions(**options))
    if hasattr(stream, "__aiter__"):
        return AsyncNormalizedStream(stream, exchange)
    return NormalizedStream(stream, exchange)


def normalize_response(response: T, *, request: Mapping[str, Any] | None = None, **options: Any) -> T:
    """A whole chat completion in the safe shape: `normalize_stream` for an answer that is not streamed.

    Args:
        response: a `ChatCompletion` of the SDK, or a dict; it is not modified.
        request, options: as for `normalize_stream`.

    Raises:
        UnknownParserError, InvalidToolsError, ValueError: for the options.
        UpstreamError: the answer is an error.
        TypeError: it is no chat completion.
    """
    value = _to_dict(response)
    if value is None:
        raise TypeError(
            f"expected a chat completion (an SDK object or a dict), not {type(response).__name__}"
        )
    if not isinstance(value.get("choices"), list) and error_in(value) is None:
        raise TypeError(f"expected a chat completion: there are no choices in {str(value)[:200]}")
    made, _ = normalize_completion(value, Exchange(_flat(request), WireOptions(**options)))
    if isinstance(response, dict):
        return cast(T, made)
    return cast(T, response if made == value else _from_dict(type(response), made))


def _flat(request: Mapping[str, Any] | None) -> Mapping[str, Any] | None:
    """The body that the SDK sends for these arguments: `extra_body` is part of it."""
    if request is None:
        return None
    extra = request.get("extra_body")
    if not isinstance(extra, Mapping):
        return request
    return {**{k: v for k, v in request.items() if k != "extra_body"}, **extra}


def _to_dict(value: Any) -> dict[str, Any] | None:
    if isinstance(value, dict):
        return value
    dump = getattr(value, "model_dump", None)
    if dump is None or not (hasattr(value, "choices") or hasattr(value, "error")):
        return dict(value) if isinstance(value, Mapping) else None
    made = dump(exclude_unset=True, by_alias=True, warnings=False)
    return made if isinstance(made, dict) else None


def _from_dict(cls: Any, value: dict[str, Any]) -> Any:
    """An SDK object. `openai`'s models build all levels leniently; others are validated."""
    if cls.__module__.partition(".")[0] == "openai":
        return cls.construct(**value)
    return cls(**value)
