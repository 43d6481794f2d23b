"""`AsyncChatClient`: a thin client of one gateway, which gives right tool calls whatever the gateway sends.

Theory. Configuration decides what is sent (connection.py, request.py), `wire` reads what comes, this module is the
traffic between them. A stream is pumped by one task into a short queue, and the caller takes from it: so notices
reach a caller who waits, a slow caller slows down the gateway, and cancelling is cancelling one task. The sync client
(chat.py) is this one behind a thread; nothing is decided twice.

A gateway of local models has one model loaded. Asking for another one stops a stream that runs (or waits for it,
silently), so this client refuses to: `StreamRunningError`, until the stream has ended or was cancelled.

It runs on asyncio.
"""

from __future__ import annotations

import asyncio
import json
import uuid
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import aclosing, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal, Self, Union

from pydantic import SecretStr

from ..events import Event
from ..message import ParsedMessage
from ..wire import (
    ChatNormalizer,
    Report,
    SSEDecoder,
    SSEEvent,
    UpstreamError,
    WireOptions,
    normalize_completion,
)
from ..wire.collect import Collector, message_of
from ..wire.whole import gather
from .config.load import Configuration
from .config.provider import ModelSettings
from .connection import Connection, SecretHeaders, connect
from .discovery import ServedModel, served_models
from .errors import ClientError, GatewayError, NotAGatewayError, StreamRunningError, UnknownModelError
from .failure import Asked, in_stream, no_models
from .notices import Notice, Timeout
from .request import Messages, Prepared, prepare
from .transfer import Transfer, http_client, read_whole

if TYPE_CHECKING:
    import httpx2

__all__ = ["AsyncChatClient", "AsyncChatStream", "ChatResponse", "GatewayModel", "StreamEvent"]

#: What a stream yields: the events of the parser, and notices.
StreamEvent = Union[Event, Notice]

_QUEUED = 64
_DRAIN = (
    0.5  # seconds that a gateway gets to end its response after `[DONE]`, so that the connection can be kept
)


@dataclass(frozen=True, slots=True)
class GatewayModel:
    """A model that the gateway serves, and what holds for it here."""

    served: ServedModel
    settings: ModelSettings

    @property
    def id(self) -> str:
        """The name that `model=` takes."""
        return self.served.id

    @property
    def name(self) -> str:
        """The label: the configuration's, else the gateway's, else the id."""
        return self.settings.name

    @property
    def context_window(self) -> int | None:
        """Tokens, if the configuration or the gateway says."""
        known = self.settings.values.get("context_window")
        return None if known is None else int(known.value)

    @property
    def parser(self) -> str:
        """The parser that reads its text."""
        return self.settings.parser


@dataclass(slots=True)
class ChatResponse:
    """A whole answer.

    Attributes:
        message: content, reasoning and calls.
        usage: tokens, as the gateway counts them.
        model: the model's name as the gateway has it.
        finish_reason: "stop", "tool_calls", "length" or "content_filter".
        raw: the gateway's JSON as it came.
        completion: the chat completion in the safe shape.
        report: what the wire layer mended.
    """

    message: ParsedMessage
    usage: dict[str, Any] | None
    model: str
    finish_reason: str
    raw: dict[str, Any] = field(repr=False)
    completion: dict[str, Any] = field(repr=False)
    report: Report = field(repr=False)


class AsyncChatClient:
    """Talks to one gateway. Without arguments it reads the configuration as Hamr does.

    Args:
        base_url: the gateway's URL; alone, no file is read and no configured key is sent to it.
        provider: the name of a configured provider, or of a preset (`relay`, `ollama`, ...).
        api_key: a key, literally; configured ones may name variables.
        model: the model of requests that name none: an id, or the label of a listed model.
        headers: more headers for every request, literally.
        tool_call_parser: the parser for every model; else the configuration's, else by the model's name.
        upstream: "text" for servers that destroy calls while streaming: asks them to leave calls as text.
        config: a TOML file to read instead of Hamr's two, or a `Configuration`.
        models_json: a file to read instead of Hamr's.
        allow_commands: run configured values that are commands (`!...`).
        timeout: limits of silence; a number is one for all of them.
        retries: how often a request that failed in passing is sent again, while nothing was given out yet.
        on_notice: called with each `Notice`: while a model loads, when something is tried again.
        session_id: the `session-id` header of every chat request. None: one made for this object, and kept: Relay
            restarts a model when it changes. "": no such header.
        thinking: a level (`off`, `low`, ...) or a bool for every request, over the configuration's.
        keep_reasoning: whether earlier reasoning stays in the history; None: only if the provider needs it.
        wire: further options for reading answers.

    Raises:
        ConfigurationError: an option or a file cannot be used.
        UnknownParserError: there is no such parser.
    """

    def __init__(
        self,
        base_url: str | None = None,
        *,
        provider: str | None = None,
        api_key: str | SecretStr | None = None,
        model: str | None = None,
        headers: Mapping[str, str] | None = None,
        tool_call_parser: str | None = None,
        upstream: Literal["native", "text"] = "native",
        config: str | Path | Configuration | None = None,
        models_json: str | Path | None = None,
        allow_commands: bool = False,
        timeout: Timeout | float | None = Timeout(),  # noqa: B008  # frozen
        retries: int = 2,
        on_notice: Callable[[Notice], object] | None = None,
        session_id: str | None = None,
        thinking: str | bool | None = None,
        keep_reasoning: bool | None = None,
        wire: WireOptions | None = None,
        connection: Connection | None = None,
    ) -> None:
        read = isinstance(config, Configuration)
        api_key = SecretStr(api_key) if isinstance(api_key, str) else api_key
        headers = SecretHeaders(headers or {})
        self.connection = connection or connect(
            provider=provider,
            base_url=base_url,
            api_key=api_key,
            model=model,
            headers=headers,
            tool_call_parser=tool_call_parser,
            thinking=thinking,
            configuration=config if isinstance(config, Configuration) else None,
            config=None if read else config,  # type: ignore[arg-type]
            models_json=models_json,
            allow_commands=allow_commands,
        )
        self.timeout = Timeout.of(timeout)
        self.session_id = uuid.uuid4().hex if session_id is None else session_id
        self._retries = retries
        self._on_notice = on_notice
        self._keep_reasoning = keep_reasoning
        options = wire if wire is not None else WireOptions()
        self._wire = options if upstream == "native" else _text(options)
        self._running: Counter[str] = Counter()
        self._only_model: str | None = None  # the one that a gateway serves, once it was asked
        self._http: httpx2.AsyncClient | None = None
        self._http_loop: asyncio.AbstractEventLoop | None = None
        self._closed = False
        self._warned = False

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.connection.base_url}>"

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Close the connections; the client is not to be used any more."""
        self._closed = True
        http, self._http = self._http, None
        if http is not None and self._http_loop is asyncio.get_running_loop():
            await http.aclose()

    # -- what a gateway has ------------------------------------------------------------------------------------

    async def models(self) -> list[GatewayModel]:
        """The gateway's models, asked anew.

        Raises:
            GatewayError: it cannot be reached, refuses, or is no gateway.
            ConfigurationError: a header cannot be resolved.
        """
        connection = self.connection
        url = f"{connection.base_url}/models"
        asked = self._asked(url)
        headers = connection.headers()
        headers.setdefault("accept", "application/json")
        limit = self.timeout.models
        timeout = Timeout(self.timeout.connect, limit, limit, limit, self.timeout.notice)
        transfer = self._transfer("GET", asked, headers, None, timeout)
        response = await transfer.open()
        transfer.begun = True
        body = await read_whole(transfer, response, asked)
        try:
            served = served_models(json.loads(body))
        except (ValueError, RecursionError):
            served = None
        if served is None:
            raise no_models(asked, response.headers, body)
        return [GatewayModel(model, connection.model(model.id, model)) for model in served]

    # -- asking ------------------------------------------------------------------------------------------------

    async def chat(
        self,
        messages: Messages,
        *,
        tools: Any = None,
        model: str | None = None,
        thinking: str | bool | None = None,
        **fields: Any,
    ) -> ChatResponse:
        """One answer, in one piece.

        Args:
            messages: of the chat API; answers of this library may stand among them; a string is one of the user.
            tools: anything that `ToolSet` takes.
            model: an id, or the label of a listed model; None: the configured one, or the only one there is.
            thinking: a level or a bool; None: as configured.
            fields: further fields of the request (`tool_choice`, `temperature`, `max_tokens`, ...).

        Raises:
            GatewayError: the gateway cannot be reached, refuses, or answers with an error.
            ConfigurationError, InvalidToolsError: the request cannot be made.
            StreamRunningError: a stream of another model runs.
        """
        prepared = await self._prepare(messages, tools, model, thinking, fields, stream=False)
        with self._uses(prepared.model):
            asked = self._asked(self._chat_url, prepared)
            transfer = self._transfer("POST", asked, prepared.headers, prepared.body, self.timeout)
            try:
                response = await transfer.open()
                transfer.begun = False
                body = await read_whole(transfer, response, asked)
            except UnknownModelError as error:
                raise await self._with_nearest(error) from None
        return _response(asked, prepared, response.headers, body)

    def stream(
        self,
        messages: Messages,
        *,
        tools: Any = None,
        model: str | None = None,
        thinking: str | bool | None = None,
        **fields: Any,
    ) -> AsyncChatStream:
        """One answer, as it comes: a context manager, and an iterator of events and notices.

        The request is sent when the first event is asked for; what is wrong with it is raised then. Arguments and
        errors are those of `chat`; errors come after what the gateway had given.
        """
        return AsyncChatStream(
            self, lambda: self._prepare(messages, tools, model, thinking, fields, stream=True)
        )

    async def prewarm(
        self,
        messages: Messages,
        *,
        tools: Any = None,
        model: str | None = None,
        thinking: str | bool | None = None,
        **fields: Any,
    ) -> dict[str, Any] | None:
        """Let the gateway read a prompt ahead, so that its prefix cache is warm when the prompt comes.

        Sends the request that `stream` would send, for one token, and throws the answer away. Loads the model, too.

        Returns:
            The gateway's usage, if it said any.
        """
        stream = AsyncChatStream(
            self, lambda: self._prepare(messages, tools, model, thinking, fields, stream=True, warm=True)
        )
        async with stream:
            async for _ in stream:
                pass
        return stream.usage

    # -- inside ------------------------------------------------------------------------------------------------

    @property
    def _chat_url(self) -> str:
        return f"{self.connection.base_url}/chat/completions"

    async def _prepare(
        self,
        messages: Messages,
        tools: Any,
        model: str | None,
        thinking: str | bool | None,
        fields: Mapping[str, Any],
        *,
        stream: bool,
        warm: bool = False,
    ) -> Prepared:
        return prepare(
            self.connection,
            await self._model(model),
            messages,
            tools,
            fields,
            stream=stream,
            wire=self._wire,
            thinking=thinking,
            keep_reasoning=self._keep_reasoning,
            session_id=self.session_id,
            warm=warm,
        )

    async def _model(self, name: str | None) -> str:
        if name is not None:
            return self.connection.provider.find_model(name) or name
        configured = self.connection.configured_model()
        if configured is not None:
            return configured.value
        if self._only_model is None:
            served = [model.served for model in await self.models()]
            self._only_model = self.connection.choose(None, served).id
        return self._only_model

    def _asked(self, url: str, prepared: Prepared | None = None) -> Asked:
        connection = self.connection
        configured = connection.provider.source.kind == "file"
        return Asked(
            url=url,
            base_url=connection.base_url,
            provider=connection.provider.name if configured else "",
            model=prepared.model if prepared is not None else None,
            streams=prepared is not None and prepared.streams,
            sent_key=connection.sends_key(),
            blank=connection.blank,
        )

    def _transfer(
        self,
        method: str,
        asked: Asked,
        headers: Mapping[str, str],
        body: bytes | None,
        timeout: Timeout,
        notify: Callable[[Notice], Any] | None = None,
    ) -> Transfer:
        if self._closed:
            raise ClientError("this client was closed; make a new one")
        loop = asyncio.get_running_loop()
        if self._http is None or self._http_loop is not loop:  # connections belong to a loop
            self._http, self._http_loop = http_client(self.connection.base_url, self.timeout), loop
        return Transfer(
            self._http, method, asked, headers, body, timeout, self._retries, notify or self._tell
        )

    async def _tell(self, notice: Notice) -> None:
        if self._on_notice is not None:
            self._on_notice(notice)

    def _warnings(self) -> Iterator[Notice]:
        """What is odd about the configuration, once."""
        if not self._warned:
            self._warned = True
            for warning in self.connection.warnings:
                yield Notice("warning", warning)

    @contextmanager
    def _uses(self, model: str) -> Iterator[None]:
        """A model in use, to which a switch would be a loss.

        Raises:
            StreamRunningError: another one is in use.
        """
        other = next((name for name in self._running if name != model), None)
        if other is not None:
            raise StreamRunningError(
                f"an answer of {other!r} is still coming, and a gateway has one model at a time; end or cancel it"
                f" before {model!r} is asked"
            )
        self._running[model] += 1
        try:
            yield
        finally:
            self._running[model] -= 1
            if not self._running[model]:
                del self._running[model]

    async def _with_nearest(self, error: UnknownModelError) -> UnknownModelError:
        """The error with the names that the gateway does have."""
        try:
            served = await self.models()
        except ClientError:
            return error
        found = UnknownModelError(error.model, [m.id for m in served], url=error.url, status=error.status)
        found.detail = error.detail
        return found


class AsyncChatStream:
    """An answer as it comes. Use it as `async with client.stream(...) as stream:` and iterate.

    Attributes:
        cancelled: whether it was cancelled.
    """

    def __init__(self, client: AsyncChatClient, make: Callable[[], Any]) -> None:
        self._client = client
        self._make = make
        self._queue: asyncio.Queue[StreamEvent | BaseException | None] = asyncio.Queue(_QUEUED)
        self._task: asyncio.Task[None] | None = None
        self._collector = Collector()
        self._normalizer: ChatNormalizer | None = None
        self._over = False
        self.cancelled = False

    # -- for the caller ----------------------------------------------------------------------------------------

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> StreamEvent:
        if self._over:
            raise StopAsyncIteration
        if self._task is None:
            self._task = asyncio.ensure_future(self._pump())
        item = await self._queue.get()
        if item is None or isinstance(item, BaseException):
            self._over = True
            if item is None:
                raise StopAsyncIteration
            raise item
        if isinstance(item, Notice):
            await self._client._tell(item)
        return item

    async def aclose(self) -> None:
        """End the answer: what still comes is not read. Does nothing once it is over."""
        task, was_over = self._task, self._over
        self._over = True
        if task is None or task.done():
            return
        if not was_over:
            self.cancelled = True
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
        while not self._queue.empty():
            self._queue.get_nowait()
        self._queue.put_nowait(None)  # for whoever waits for the next event

    cancel = aclose

    @property
    def message(self) -> ParsedMessage:
        """What came so far; at the end, the whole message. After an error or a cancel: what had come, with
        `finish_reason` "length" and a call that was cut marked so."""
        return self._collector.message

    @property
    def finish_reason(self) -> str | None:
        """Why it ended; None while it runs."""
        return self._collector.finish_reason

    @property
    def usage(self) -> dict[str, Any] | None:
        """Tokens, as the gateway counted them, if it said."""
        return self._collector.usage

    @property
    def model(self) -> str | None:
        """The model's name, as the gateway has it."""
        return self._collector.model

    @property
    def report(self) -> Report:
        """What the wire layer mended."""
        return self._normalizer.report if self._normalizer is not None else Report()

    # -- the traffic -------------------------------------------------------------------------------------------

    async def _pump(self) -> None:
        """Everything that happens, into the queue; its last item is None, or an error."""
        end: BaseException | None = None
        try:
            await self._exchange()
        except asyncio.CancelledError:
            self._finish(died=True)
            raise
        except Exception as error:
            end = error
        await self._queue.put(end)

    async def _exchange(self) -> None:
        client = self._client
        for notice in client._warnings():
            await self._queue.put(notice)
        prepared: Prepared = await self._make()
        with client._uses(prepared.model):
            asked = client._asked(client._chat_url, prepared)
            self._normalizer = prepared.exchange.normalizer()
            self._collector = Collector(self._normalizer.report)
            transfer = client._transfer(
                "POST", asked, prepared.headers, prepared.body, client.timeout, self._queue.put
            )
            try:
                response = await transfer.open()
                kind = response.headers.get("content-type", "").lower()
                if "text/event-stream" in kind or not ("json" in kind or "html" in kind):
                    await self._events(asked, transfer, response)
                else:
                    await self._whole(asked, transfer, response, prepared)
            except UnknownModelError as error:
                raise await client._with_nearest(error) from None

    async def _events(self, asked: Asked, transfer: Transfer, response: httpx2.Response) -> None:
        decoder = SSEDecoder()
        reading = _Reading(asked, transfer)
        try:
            async with aclosing(transfer.pieces(response)) as pieces:
                async for piece in pieces:
                    await self._take(decoder.feed(piece), reading)
                    if reading.error is not None or reading.done:
                        break
                if reading.done:
                    await _drain(pieces)
            if not reading.done and reading.error is None:
                await self._take(decoder.close(), reading)
        except UpstreamError as error:  # an event too large to be read
            reading.error = error
        except GatewayError:
            await self._put(self._finish(died=True))
            raise
        if reading.error is not None:
            await self._put(self._finish(died=True))
            raise in_stream(asked, reading.error)
        if not reading.seen:
            raise no_models(asked, response.headers, reading.start)
        await self._put(self._finish())
        if not reading.finished:
            await self._queue.put(
                Notice(
                    "cut",
                    f"{asked.base_url} ended the answer without saying why: it may be cut, and is treated so",
                    transfer.seconds,
                )
            )

    async def _take(self, events: list[SSEEvent], reading: _Reading) -> None:
        assert self._normalizer is not None
        for event in events:
            if event.done:
                reading.done = True
                reading.seen = True
                return
            if event.comment is not None:
                continue
            value = event.value
            if not isinstance(value, dict):
                if event.event == "error":
                    reading.error = UpstreamError(event.data or "")
                    return
                reading.note(event.data or "")
                continue
            reading.seen = True
            notice = reading.loading(value)
            if notice is not None:
                await self._queue.put(notice)
            reading.finished = reading.finished or _says_finish(value)
            made = self._collector.feed(self._normalizer.feed(value, event.event))
            if made:
                reading.transfer.begun = True
                await self._put(made)
            elif _says_anything(value):
                reading.transfer.begun = True  # held back by the parser, but the gateway speaks
            if self._normalizer.error is not None:
                reading.error = self._normalizer.error
                return

    async def _whole(
        self, asked: Asked, transfer: Transfer, response: httpx2.Response, prepared: Prepared
    ) -> None:
        """A gateway that does not stream, although it was asked to: its answer comes as one chunk."""
        body = await read_whole(transfer, response, asked)
        found = _response(asked, prepared, response.headers, body)
        choices = [
            {
                "index": 0,
                "delta": {**choice.get("message", {}), "tool_calls": _indexed(choice.get("message", {}))},
                "finish_reason": choice.get("finish_reason"),
            }
            for choice in found.completion["choices"][:1]
        ]
        self._collector = Collector(found.report)
        chunk = {**found.completion, "choices": choices}
        await self._put(self._collector.feed([chunk]) + self._collector.close())

    def _finish(self, died: bool = False) -> list[Event]:
        if self._normalizer is None:
            return []
        events = self._collector.feed(self._normalizer.close(died))
        return events + self._collector.close()

    async def _put(self, events: list[Event]) -> None:
        for event in events:
            await self._queue.put(event)


class _Reading:
    """What one stream has shown so far."""

    def __init__(self, asked: Asked, transfer: Transfer) -> None:
        self.asked = asked
        self.transfer = transfer
        self.seen = False  # anything that a gateway would send
        self.done = False
        self.finished = False
        self.error: UpstreamError | None = None
        self.start = b""

    def note(self, text: str) -> None:
        """Keep the start of what is no event of a gateway, to say what it is."""
        self.start = (self.start + text.encode("utf-8", "replace"))[:4096]

    def loading(self, chunk: Mapping[str, Any]) -> Notice | None:
        """The notice that a Relay frame is."""
        relay = chunk.get("relay")
        if not isinstance(relay, Mapping):
            return None
        kind = str(relay.get("type", ""))
        model = self.asked.model or relay.get("model") or "the model"
        seconds = self.transfer.seconds
        if kind.endswith(".loading"):
            return Notice("loading", f"{self.asked.base_url} is loading {model!r} ({seconds:.0f} s)", seconds)
        if kind.endswith(".loaded"):
            return Notice(
                "loading", f"{self.asked.base_url} has loaded {model!r}; it is reading the prompt", seconds
            )
        return None


async def _drain(pieces: AsyncIterator[bytes]) -> None:
    """Read a response's end behind `[DONE]`, if it comes at once, so that its connection can be used again."""
    with suppress(GatewayError, TimeoutError):
        async with asyncio.timeout(_DRAIN):
            async for _ in pieces:
                pass


def _response(asked: Asked, prepared: Prepared, headers: Mapping[str, str], body: bytes) -> ChatResponse:
    """The answer that a body is. Some gateways stream although nobody asked them to."""
    try:
        if body.lstrip()[:5] in (b"data:", b"event") or body.startswith(b":"):
            raw, completion, report = _gathered(prepared, body)
        else:
            raw = _object(body)
            completion, report = normalize_completion(raw, prepared.exchange) if raw else ({}, Report())
    except UpstreamError as error:
        raise in_stream(asked, error) from None
    if not completion.get("choices"):
        if raw.get("choices") == []:
            raise NotAGatewayError(
                f"{asked.base_url} gave an answer without any choice", url=asked.url, status=200
            )
        raise no_models(asked, headers, body)
    message = message_of(completion, report)
    usage = completion.get("usage")
    return ChatResponse(
        message=message,
        usage=dict(usage) if isinstance(usage, Mapping) else None,
        model=str(completion.get("model") or prepared.model),
        finish_reason=message.finish_reason,
        raw=raw,
        completion=completion,
        report=report,
    )


def _object(body: bytes) -> dict[str, Any]:
    try:
        value = json.loads(body)
    except (ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}


def _gathered(prepared: Prepared, body: bytes) -> tuple[dict[str, Any], dict[str, Any], Report]:
    decoder, normalizer = SSEDecoder(), prepared.exchange.normalizer()
    made: list[dict[str, Any]] = []
    for event in [*decoder.feed(body), *decoder.close()]:
        if event.done:
            break
        if isinstance(event.value, dict):
            made += normalizer.feed(event.value, event.event)
    if normalizer.error is not None:
        raise normalizer.error
    made += normalizer.close()
    completion = gather(made)
    return completion, completion, normalizer.report


def _indexed(message: Mapping[str, Any]) -> list[dict[str, Any]]:
    return [{**call, "index": index} for index, call in enumerate(message.get("tool_calls") or ())]


def _says_finish(chunk: Mapping[str, Any]) -> bool:
    choices = chunk.get("choices")
    return isinstance(choices, list) and any(
        isinstance(one, Mapping) and one.get("finish_reason") for one in choices
    )


def _says_anything(chunk: Mapping[str, Any]) -> bool:
    choices = chunk.get("choices")
    if not isinstance(choices, list) or "relay" in chunk:
        return False
    deltas = [one.get("delta") for one in choices if isinstance(one, Mapping)]
    return any(isinstance(d, Mapping) and any(v for k, v in d.items() if k != "role") for d in deltas)


def _text(options: WireOptions) -> WireOptions:
    from dataclasses import replace

    return replace(options, upstream="text")
