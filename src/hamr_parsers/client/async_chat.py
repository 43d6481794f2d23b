"""`AsyncChatClient`: a thin client of one gateway, which gives right tool calls whatever the gateway sends.

Theory. Configuration decides what is sent (connection.py, request.py), transfer.py sends it, `wire` reads what comes
(answer.py, async_stream.py). The sync client (chat.py) is this one behind a thread; nothing is decided twice.

A gateway of local models has one model loaded. Asking for another one stops a stream that runs (or waits for it,
silently), so this client refuses to: `StreamRunningError`, until the stream has ended, was cancelled or is held by
nothing any more.

It runs on asyncio.
"""

from __future__ import annotations

import asyncio
import json
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Self

from pydantic import SecretStr

from ..wire import WireOptions, error_in
from .answer import ChatResponse, read_answer
from .async_stream import AsyncChatStream, StreamEvent
from .config.load import Configuration
from .config.provider import ModelSettings
from .connection import Connection, SecretHeaders, connect
from .discovery import ServedModel, served_models
from .errors import ClientError, StreamRunningError, UnknownModelError
from .failure import Asked, closed, no_models
from .notices import Notice, Timeout
from .request import Messages, Prepared, check_session_id, prepare
from .transfer import Transfer, http_client, read_whole

if TYPE_CHECKING:
    import httpx2

__all__ = ["AsyncChatClient", "AsyncChatStream", "ChatResponse", "GatewayModel", "StreamEvent"]

_LEAVING = 5.0  # seconds that a stream which nobody holds gets to end


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
        if session_id is not None:
            check_session_id(session_id)
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
        self._wire = options if upstream == "native" else replace(options, upstream=upstream)
        self._running: dict[object, str] = {}  # who uses which model
        self._leaving: set[asyncio.Task[None]] = set()  # streams that nobody holds any more
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
        """Close the connections; the client is not to be used any more. What waits for an answer gets an error."""
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
            payload = json.loads(body)
            served = served_models(payload)
        except (ValueError, RecursionError):
            payload = served = None
        if served is None or (not served and error_in(payload) is not None):
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
        await self._settled()
        with self._uses(prepared.model, object()):
            asked = self._asked(self._chat_url, prepared)
            transfer = self._transfer("POST", asked, prepared.headers, prepared.body, self.timeout)
            try:
                response = await transfer.open()
                body = await read_whole(transfer, response, asked)
            except UnknownModelError as error:
                raise await self._with_nearest(error) from None
        return read_answer(asked, prepared, response.headers, body)

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
            raise closed()
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
    def _uses(self, model: str, who: object) -> Iterator[None]:
        """A model in use, to which a switch would be a loss.

        Raises:
            StreamRunningError: another one is in use.
        """
        other = next((name for name in list(self._running.values()) if name != model), None)
        if other is not None:
            raise StreamRunningError(
                f"an answer of {other!r} is still coming, and a gateway has one model at a time; end or cancel it"
                f" before {model!r} is asked"
            )
        self._running[who] = model
        try:
            yield
        finally:
            self._running.pop(who, None)

    def _left(self, task: asyncio.Task[None], who: object) -> None:
        """End the task of a stream that nobody holds. Called in any thread, at any time."""

        def end() -> None:
            task.add_done_callback(self._leaving.discard)
            task.cancel()

        loop = task.get_loop()
        if not loop.is_running():  # it cannot end now, but it holds nothing up
            self._running.pop(who, None)
        self._leaving.add(task)
        try:
            loop.call_soon_threadsafe(end)
        except RuntimeError:  # the loop is closed
            self._leaving.discard(task)

    async def _settled(self) -> None:
        """Wait until streams that were left have ended: their models are free then, and the gateway knows."""
        here = asyncio.get_running_loop()
        current = asyncio.current_task()
        leaving = [t for t in list(self._leaving) if t.get_loop() is here and t is not current]
        if leaving:
            await asyncio.wait(leaving, timeout=_LEAVING)

    async def _with_nearest(self, error: UnknownModelError) -> UnknownModelError:
        """The error with the names that the gateway does have."""
        try:
            served = await self.models()
        except ClientError:
            return error
        found = UnknownModelError(error.model, [m.id for m in served], url=error.url, status=error.status)
        found.detail = error.detail
        return found
