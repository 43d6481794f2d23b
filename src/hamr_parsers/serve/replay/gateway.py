"""The replay gateway: a server for `/chat/completions` that says what it was told to, as a gateway of some kind would.

Theory. A request chooses a scenario by its `model`; scenario, turn, kind, faults and cut decide the stream entirely,
so it is made once and kept as bytes. Sending it again costs a copy with the request's number in the ids, and for
each chunk one write on a timer. Nothing in a stream depends on the clock or on chance: the same gateway and seed say
the same again.

A request can ask for other ways than the gateway's: words after the model's name (`qwen3-coder:parallel+vllm+no-index`)
or the headers `x-replay-as`, `x-replay-calls`, `x-replay-cut`, `x-replay-reasoning`, `x-replay-rate` and
`x-replay-fault`. So one gateway serves a whole table of tests.
"""

from __future__ import annotations

import asyncio
import contextlib
import difflib
import errno
import json
import os
import threading
import time
from collections import OrderedDict, deque
from collections.abc import AsyncIterator, Callable, Hashable, Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Any, TypeVar, cast

from . import http1
from .delivery import Delivery, Refusal
from .errors import ReplayError
from .faults import UnknownFaultError, choose
from .http1 import BadRequest, Request
from .kinds import KINDS, Kind
from .making import events_of, make_response, make_stream
from .reading import embedded_scenarios
from .saying import REQUEST, CallsMode, Cut, ReasoningMode, Turn, turn_of
from .scenario import Scenario
from .sending import Answer, Connection, Received, deliver, line_of, pause
from .shape import DONE, Frame, encode
from .shaping import CREATED, error_body, model_entry, models_body
from .way import Way, altered, by_headers, by_words, delivery_of

__all__ = ["ReplayGateway"]

_KEPT = 512  # streams and responses
_KEPT_REQUESTS = 10_000
_MANY = 300
T = TypeVar("T")


class ReplayGateway:
    """Plays scenarios as an OpenAI-compatible server.

    Args:
        scenarios: what can be asked for, a model each; None: those that ship with the package.
        kind: whose habits it has, one of `KINDS`.
        faults: names of `FAULTS`, `NAME=NUMBER` where a fault has a number.
        calls: whether calls are left as "text", parsed ("native"), or "both"; None: as the faults need it, else "text".
        cut: where the text is cut: "tokens", "characters", "random", "whole".
        rate: chunks a second; None: as fast as they are taken.
        seed: of what is random.
        reasoning: "field" (in the kind's own field) or "text" (left in the content, with its markers).
        verbatim: captured event streams are played byte for byte.
        log: gets a line for each request.

    Attributes:
        requests: what was received, in order (`Received`).
        loads: how often a model was loaded (by a kind that loads them).

    Raises:
        ReplayError, UnknownFaultError: an argument is none of those that there are.
    """

    def __init__(
        self,
        scenarios: Sequence[Scenario] | None = None,
        kind: str = "llamacpp",
        faults: str | Iterable[str] = (),
        calls: CallsMode | None = None,
        cut: Cut = "tokens",
        rate: float | None = None,
        seed: int = 0,
        *,
        reasoning: ReasoningMode = "field",
        verbatim: bool = False,
        log: Callable[[str], None] | None = None,
    ) -> None:
        given = embedded_scenarios() if scenarios is None else list(scenarios)
        if not given:
            raise ReplayError("there is no scenario to play: give files of transcripts or case records")
        self.scenarios = {scenario.id: scenario for scenario in given}
        way = Way(KINDS["llamacpp"], choose(faults), None, "tokens", "field", None)
        told = {"as": kind, "calls": calls, "cut": cut, "reasoning": reasoning, "rate": rate}
        for name, value in told.items():
            if value is not None:
                way = altered(way, name, str(value))
        self._way = way
        self.seed = seed
        self.verbatim = verbatim
        self.log = log
        self.requests: deque[Received] = deque(maxlen=_KEPT_REQUESTS)
        self.loads = 0
        self.base_url = ""
        self.port = 0
        self._made: OrderedDict[Hashable, Any] = OrderedDict()
        self._count = 0
        self._refused: dict[str, int] = {}
        self._running: tuple[str, str | None] | None = None  # model and session, of a kind that loads
        self._turn = asyncio.Lock()
        self._open: set[asyncio.Task[None]] = set()
        self._sending: list[Received] = []

    @property
    def kind(self) -> Kind:
        """Whose habits it has."""
        return self._way.kind

    # -- listening -----------------------------------------------------------------------------------------

    async def serve(self, host: str = "127.0.0.1", port: int = 0) -> None:
        """Listen until cancelled.

        Raises:
            ReplayError: the port is taken, or the host is none of this machine's.
        """
        async with self.listening(host, port):
            await asyncio.get_running_loop().create_future()

    @contextlib.asynccontextmanager
    async def listening(self, host: str = "127.0.0.1", port: int = 0) -> AsyncIterator[str]:
        """Listen inside a running loop; gives the base URL, which ends in `/v1`."""
        try:
            server = await asyncio.start_server(
                self._connection, host, port, limit=http1.HEAD_LIMIT, backlog=1024
            )
        except OSError as error:
            raise ReplayError(_why_not(error, host, port)) from None
        except OverflowError:
            raise ReplayError(
                f"there is no port {port}: give one from 1 to 65535, or 0 for any free one"
            ) from None
        self.port = server.sockets[0].getsockname()[1]
        shown = f"[{host}]" if ":" in host else host
        self.base_url = f"http://{shown}:{self.port}/v1"
        try:
            yield self.base_url
        finally:
            server.close()
            for task in list(self._open):
                task.cancel()
            await asyncio.gather(*self._open, return_exceptions=True)
            await server.wait_closed()

    @contextlib.contextmanager
    def running(self, host: str = "127.0.0.1", port: int = 0) -> Iterator[ReplayGateway]:
        """Listen in a thread of its own; `base_url` says where.

        Raises:
            ReplayError: as `serve`.
        """
        started = threading.Event()
        failed: list[BaseException] = []
        loop_of: list[tuple[asyncio.AbstractEventLoop, asyncio.Event]] = []

        async def main() -> None:
            stop = asyncio.Event()
            async with self.listening(host, port):
                loop_of.append((asyncio.get_running_loop(), stop))
                started.set()
                await stop.wait()

        def run() -> None:
            try:
                asyncio.run(main())
            except BaseException as error:
                failed.append(error)
            finally:
                started.set()

        thread = threading.Thread(target=run, name="replay-gateway", daemon=True)
        thread.start()
        started.wait()
        if failed:
            thread.join()
            raise failed[0]
        try:
            yield self
        finally:
            loop, stop = loop_of[0]
            loop.call_soon_threadsafe(stop.set)
            thread.join()

    # -- connections ---------------------------------------------------------------------------------------

    async def _connection(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._open.add(task)
        try:
            while await self._exchange(reader, writer):
                pass
        except (ConnectionError, TimeoutError, asyncio.CancelledError):
            pass  # the client went away, or the gateway is being stopped
        finally:
            self._open.discard(task)
            if not writer.transport.is_closing():
                writer.close()
            with contextlib.suppress(ConnectionError, asyncio.CancelledError):
                await writer.wait_closed()

    async def _exchange(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        """One request and its answer; whether the connection goes on."""
        try:
            request = await http1.read_request(reader, writer, self.kind.max_body)
        except BadRequest as error:
            body = encode(error_body(self.kind, error.status, error.reason, "invalid_request_error")).encode()
            answer = Answer(error.status, body=body)
            received = Received("?", "?", {}, None)
            self.requests.append(received)
            await self._send(Connection(reader, writer, False, True), answer, Delivery(), self._way, received)
            return False
        if request is None:
            return False
        self._count += 1
        received = Received(request.method, request.path, request.headers, _json(request.body))
        self.requests.append(received)
        way, delivery, answer = self._answer(request, received)
        connection = Connection(reader, writer, request.keep_alive, request.chunked)
        return await self._send(connection, answer, delivery, way, received)

    async def _send(
        self, to: Connection, answer: Answer, delivery: Delivery, way: Way, received: Received
    ) -> bool:
        start = time.monotonic()
        received.status, received.stream = answer.status, answer.stream
        self._sending.append(received)
        try:
            async with self._turn if delivery.serialised else contextlib.nullcontext():
                if delivery.hold:
                    await pause(to, delivery.hold)
                return await deliver(to, answer, delivery, way, received)
        except ConnectionError:
            received.ended = "disconnected"
            return False
        finally:
            self._sending = [other for other in self._sending if other is not received]
            received.ended = received.ended or "disconnected"
            received.seconds = time.monotonic() - start
            if self.log is not None:
                self.log(line_of(received))

    # -- answers -------------------------------------------------------------------------------------------

    def _answer(self, request: Request, received: Received) -> tuple[Way, Delivery, Answer]:
        path = request.path.removeprefix("/v1").rstrip("/") or "/"
        way, delivery = self._way, Delivery()
        try:
            way = by_headers(way, request.headers)
            delivery = delivery_of(way)
            if path == "/health" and not delivery.everywhere:
                return way, Delivery(), _ok({"status": "ok"})
            if path == "/chat/completions":
                return self._completion(request, received, way)
            received.faults = tuple(chosen.name for chosen in way.faults)
            if refusal := self._refusal(way, delivery, request, everywhere=True):
                return way, Delivery(), refusal
            return way, Delivery(), self._other(path, way, delivery)
        except (ReplayError, UnknownFaultError) as error:
            return way, Delivery(), _error(way.kind, 400, str(error), "invalid_request_error")

    def _other(self, path: str, way: Way, delivery: Delivery) -> Answer:
        kind = way.kind
        if path in kind.paths or f"/v1{path}" in kind.paths:
            return _ok(kind.paths.get(path) or kind.paths[f"/v1{path}"])
        if path == "/models" and delivery.models != "none":
            body = models_body(list(self.scenarios.values()), kind)
            if delivery.models == "many":
                entry = {"object": "model", "created": CREATED, "owned_by": kind.owned_by}
                body["data"] += [{"id": f"provider/wildcard-{n}", **entry} for n in range(_MANY)]
            return _ok(body)
        name = path.removeprefix("/models/")
        if name != path and delivery.models != "none":
            scenario = self.scenarios.get(name)
            if scenario is not None:
                return _ok(model_entry(scenario, kind))
            return _error(kind, 404, f"model '{name}' not found", "not_found_error")
        if kind.error == "detail":
            return _error(kind, 404, "Not Found", "not_found_error")
        return _error(kind, 404, f"no such path: {path}", "not_found_error")

    def _completion(self, request: Request, received: Received, way: Way) -> tuple[Way, Delivery, Answer]:
        body = received.body
        if request.method != "POST":
            return way, Delivery(), _error(way.kind, 405, "use POST", "invalid_request_error")
        if not isinstance(body, dict):
            reason = "the request's body is no JSON object"
            return way, Delivery(), _error(way.kind, 400, reason, "invalid_request_error")
        model = body.get("model") or next(iter(self.scenarios))
        scenario, way = self._chosen(str(model), way)
        delivery = delivery_of(way)
        received.faults = tuple(chosen.name for chosen in way.faults)
        turn = turn_of(body)
        if refusal := self._refusal(way, delivery, request, everywhere=False):
            return way, delivery, refusal
        if scenario is None:
            return way, Delivery(), self._unknown(str(model), turn, way.kind)
        received.scenario = scenario.id
        for other in self._sending if delivery.switch_kills else ():
            other.killed = other.killed or other.scenario != scenario.id
        if not isinstance(body.get("messages"), list) or not body["messages"]:
            reason = "the request has no messages"
            return way, Delivery(), _error(way.kind, 400, reason, "invalid_request_error")
        stream = (turn.stream and not delivery.as_response) or delivery.as_stream
        if stream != turn.stream:
            turn = replace(turn, stream=stream)
        number = f"{self._count:08x}"[-len(REQUEST) :].encode()
        key = (scenario.id, turn, way)
        if not stream:
            status, whole = self._kept(key, lambda: make_response(scenario, turn, way, self.seed))
            return way, delivery, Answer(status, body=whole.replace(REQUEST.encode(), number))
        loading = self._must_load(scenario, request, way.kind)
        events = self._kept((*key, loading), lambda: self._events(scenario, turn, way, loading))
        pieces = [event.replace(REQUEST.encode(), number) for event in events]
        for chosen in way.faults:
            pieces = chosen.apply("pieces", pieces)
        headers = (("x-relay-loading", "1"),) if loading else ()
        return way, delivery, Answer(200, pieces, b"", True, delivery.content_type, headers)

    def _events(self, scenario: Scenario, turn: Turn, way: Way, loading: bool) -> list[bytes]:
        if self.verbatim and scenario.raw is not None and turn.results is None:
            return events_of(scenario.raw)
        return make_stream(scenario, turn, way, self.seed, loading)

    def _kept(self, key: Hashable, make: Callable[[], T]) -> T:
        """What was made for a key, or is made now."""
        found = self._made.get(key)
        if found is None:
            found = self._made[key] = make()
            if len(self._made) > _KEPT:
                self._made.popitem(last=False)
        else:
            self._made.move_to_end(key)
        return cast(T, found)

    def _chosen(self, model: str, way: Way) -> tuple[Scenario | None, Way]:
        """The scenario of a model's name, and what the words after it ask for."""
        if model in self.scenarios:
            return self.scenarios[model], way
        known = [name for name in self.scenarios if model.startswith(name + "+")]
        if not known:
            return None, way
        name = max(known, key=len)
        return self.scenarios[name], by_words(way, model[len(name) + 1 :])

    def _unknown(self, model: str, turn: Turn, kind: Kind) -> Answer:
        near = difflib.get_close_matches(model, self.scenarios, n=1, cutoff=0.4)
        messages = {
            "vllm": f"The model `{model}` does not exist.",
            "ollama": f"model '{model}' not found",
            "litellm": f"Invalid model name passed in model={model}. Call `/v1/models` to view available models.",
            "relay": f"unknown model '{model}'" + (f", did you mean '{near[0]}'?" if near else ""),
        }
        message = messages.get(kind.name, f"model '{model}' not found")
        code = "model_unknown" if kind.name == "relay" else "not_found_error"
        if kind.loads and turn.stream:
            relay = {"type": "relay.error", "message": message, "error": {"message": message, "code": code}}
            data = {
                "id": f"chatcmpl-load{self._count:08x}",
                "object": "chat.completion.chunk",
                "created": CREATED,
                "model": model,
                "choices": [{"index": 0, "delta": {}, "finish_reason": None}],
                "relay": relay,
            }
            frames = [Frame(data, "relay.error"), Frame(DONE)]
            return Answer(
                200, [frame.encoded() for frame in frames], stream=True, content_type="text/event-stream"
            )
        return _error(kind, kind.unknown_status, message, code)

    def _refusal(self, way: Way, delivery: Delivery, request: Request, everywhere: bool) -> Answer | None:
        refusal = delivery.refusal
        if refusal is None or (everywhere and not delivery.everywhere):
            return None
        if delivery.unless and all(request.headers.get(name) for name in delivery.unless):
            return None
        if delivery.refusals:
            key = ",".join(chosen.name for chosen in way.faults)
            count = self._refused[key] = self._refused.get(key, 0) + 1
            if count > delivery.refusals:
                return None
        return _refused(refusal)

    def _must_load(self, scenario: Scenario, request: Request, kind: Kind) -> bool:
        """Whether a kind that loads models has another one running, or the client began a new session."""
        if not kind.loads:
            return False
        names = ("session-id", "session_id", "x-session-affinity", "x-client-request-id")
        session = next((request.headers[name] for name in names if name in request.headers), None)
        wanted = (scenario.id, session)
        if self._running == wanted:
            return False
        self._running = wanted
        self.loads += 1
        return True


# --- small things ---------------------------------------------------------------------------------------------


def _ok(value: Any) -> Answer:
    return Answer(200, body=encode(value).encode())


def _error(kind: Kind, status: int, message: str, code: str) -> Answer:
    return Answer(status, body=encode(error_body(kind, status, message, code)).encode())


def _refused(refusal: Refusal) -> Answer:
    body = refusal.body.encode()
    return Answer(refusal.status, body=body, content_type=refusal.content_type, headers=refusal.headers)


def _json(body: bytes) -> Any:
    if not body:
        return None
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        return body.decode("utf-8", "replace")


def _why_not(error: OSError, host: str, port: int) -> str:
    if error.errno == errno.EADDRINUSE:
        return f"port {port} of {host} is taken: end what listens there, or give another --port (0: any free one)"
    if error.errno == errno.EACCES:
        return f"port {port} of {host} is not allowed for you: give another --port (0: any free one)"
    reason = os.strerror(error.errno) if error.errno and error.errno > 0 else str(error)
    return f"cannot listen on {host}:{port} ({reason}): --host must be an address of this machine, such as 127.0.0.1"
