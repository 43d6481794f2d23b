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
import random
import threading
import time
from collections import OrderedDict, deque
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, cast

from ...errors import HamrParsersError
from . import http1
from .delivery import Delivery, Refusal
from .faults import ChosenFault, UnknownFaultError, choose
from .http1 import BadRequest, Request
from .kinds import KINDS, Kind
from .saying import (
    CALLS,
    CUTS,
    REASONING,
    REQUEST,
    CallsMode,
    Cut,
    ReasoningMode,
    Turn,
    cutter,
    say,
    turn_of,
)
from .scenario import Scenario, embedded_scenarios
from .shape import DONE, Frame, encode
from .shaping import CREATED, chunks_of, error_body, model_entry, models_body, response_of

__all__ = ["Received", "ReplayError", "ReplayGateway"]

_KEPT_PLANS = 512
_KEPT_REQUESTS = 10_000
_PROMPT_TOKENS = 100
_MANY = 300


class ReplayError(HamrParsersError, ValueError):
    """The gateway cannot be made, or cannot listen, as it was told to; the message says what would do."""


@dataclass(slots=True)
class Received:
    """A request as it came, and what became of its answer.

    `body` is the JSON value, or the text if it is none. `ended` is "whole", "drop", "reset" or "stall" as a fault had
    it, "killed" by another model, "disconnected" if the client went away, "" while it is being sent; `sent` counts the
    pieces.
    """

    method: str
    path: str
    headers: dict[str, str]
    body: Any
    scenario: str | None = None
    faults: tuple[str, ...] = ()
    status: int = 0
    stream: bool = False
    pieces: int = 0
    sent: int = 0
    killed: bool = False
    ended: str = ""
    seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class _Way:
    """How one request is answered."""

    kind: Kind
    faults: tuple[ChosenFault, ...]
    calls: CallsMode | None
    cut: Cut
    reasoning: ReasoningMode
    rate: float | None

    def mode(self, turn: Turn) -> CallsMode:
        """Whether calls are left as text, for one turn."""
        faults = [chosen.fault for chosen in self.faults]
        asked = turn.tools or self.kind.parses_always or any(fault.unasked for fault in faults)
        if not asked or (not turn.stream and any(fault.when == "asked" for fault in faults)):
            return "text"
        if self.calls is not None:
            return self.calls
        needs = {fault.needs for fault in faults}
        return "both" if "both" in needs else "native" if "native" in needs else "text"


@dataclass(slots=True)
class _Answer:
    """What is sent: pieces of a stream, or a JSON body."""

    status: int
    pieces: list[bytes] = field(default_factory=list)
    body: bytes = b""
    stream: bool = False
    content_type: str = "application/json"
    headers: tuple[tuple[str, str], ...] = ()


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
        way = _Way(KINDS["llamacpp"], choose(faults), None, "tokens", "field", None)
        told = {"as": kind, "calls": calls, "cut": cut, "reasoning": reasoning, "rate": rate}
        for name, value in told.items():
            if value is not None:
                way = _altered(way, name, str(value))
        self._way = way
        self.seed = seed
        self.verbatim = verbatim
        self.log = log
        self.requests: deque[Received] = deque(maxlen=_KEPT_REQUESTS)
        self.loads = 0
        self.base_url = ""
        self.port = 0
        self._plans: OrderedDict[Any, Any] = OrderedDict()
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
            answer = _Answer(error.status, body=body)
            received = Received("?", "?", {}, None)
            self.requests.append(received)
            await self._send(
                reader, writer, answer, Delivery(), self._way, received, keep=False, chunked=True
            )
            return False
        if request is None:
            return False
        self._count += 1
        received = Received(request.method, request.path, request.headers, _json(request.body))
        self.requests.append(received)
        way, delivery, answer = self._answer(request, received)
        return await self._send(
            reader, writer, answer, delivery, way, received, keep=request.keep_alive, chunked=request.chunked
        )

    async def _send(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        answer: _Answer,
        delivery: Delivery,
        way: _Way,
        received: Received,
        *,
        keep: bool,
        chunked: bool,
    ) -> bool:
        start = time.monotonic()
        received.status, received.stream = answer.status, answer.stream
        self._sending.append(received)
        try:
            async with self._turn if delivery.serialised else contextlib.nullcontext():
                if delivery.hold:
                    await asyncio.sleep(delivery.hold)
                kept = await self._deliver(reader, writer, answer, delivery, way, received, keep, chunked)
        except ConnectionError:
            received.ended = "disconnected"
            kept = False
        finally:
            self._sending = [other for other in self._sending if other is not received]
            received.ended = received.ended or "disconnected"
            received.seconds = time.monotonic() - start
            if self.log is not None:
                self.log(_line(received))
        return kept

    async def _deliver(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        answer: _Answer,
        delivery: Delivery,
        way: _Way,
        received: Received,
        keep: bool,
        chunked: bool,
    ) -> bool:
        headers = [
            ("Content-Type", answer.content_type),
            *way.kind.headers,
            *answer.headers,
            *delivery.headers,
        ]
        close = delivery.framing == "close" or (answer.stream and not chunked)
        keep = keep and not close
        if not keep:
            headers.append(("Connection", "close"))
        if answer.stream:
            headers.append(("Cache-Control", "no-cache"))
        if not close:
            headers.append(
                ("Transfer-Encoding", "chunked")
                if answer.stream
                else ("Content-Length", str(len(answer.body)))
            )
        if answer.stream:
            pieces = answer.pieces if close else [http1.framed(piece) for piece in answer.pieces if piece]
        else:  # two pieces, so that the connection can end between them
            half = len(answer.body) // 2 if delivery.end != "whole" else len(answer.body)
            pieces = [piece for piece in (answer.body[:half], answer.body[half:]) if piece]
        stop = delivery.stop(len(pieces)) if answer.status == 200 else len(pieces)
        received.pieces = len(pieces)
        writer.write(http1.head(answer.status, headers))
        gap = delivery.gap if delivery.gap is not None else 1 / way.rate if way.rate else None
        if delivery.silence:
            await writer.drain()
            await asyncio.sleep(delivery.silence)
        if gap is not None and answer.stream:
            await _paced(reader, writer, pieces[:stop], gap, received)
        else:
            if not answer.stream and delivery.end == "whole":
                received.ended = "whole"
            await _at_once(reader, writer, pieces[:stop], received)
        if delivery.end != "whole" and answer.status == 200:
            return await _break_off(reader, writer, delivery.end, received)
        received.ended = "killed" if received.killed else "whole"  # before the client can see it
        if received.killed and answer.stream:
            done = Frame(DONE).encoded()
            writer.write(done if close else http1.framed(done))
        if answer.stream and not close:
            writer.write(http1.LAST_CHUNK)
        await writer.drain()
        return keep

    # -- answers -------------------------------------------------------------------------------------------

    def _answer(self, request: Request, received: Received) -> tuple[_Way, Delivery, _Answer]:
        path = request.path.removeprefix("/v1").rstrip("/") or "/"
        way, delivery = self._way, Delivery()
        try:
            way = _by_headers(way, request.headers)
            delivery = _delivery(way)
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

    def _other(self, path: str, way: _Way, delivery: Delivery) -> _Answer:
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

    def _completion(self, request: Request, received: Received, way: _Way) -> tuple[_Way, Delivery, _Answer]:
        body = received.body
        if request.method != "POST":
            return way, Delivery(), _error(way.kind, 405, "use POST", "invalid_request_error")
        if not isinstance(body, dict):
            reason = "the request's body is no JSON object"
            return way, Delivery(), _error(way.kind, 400, reason, "invalid_request_error")
        model = body.get("model") or next(iter(self.scenarios))
        scenario, way = self._chosen(str(model), way)
        delivery = _delivery(way)
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
        if not stream:
            status, whole = self._kept(scenario, turn, way, loading=False)
            return way, delivery, _Answer(status, body=whole.replace(REQUEST.encode(), number))
        loading = self._must_load(scenario, request, way.kind)
        plan = self._kept(scenario, turn, way, loading)
        pieces = [piece.replace(REQUEST.encode(), number) for piece in plan]
        for chosen in way.faults:
            pieces = chosen.apply("pieces", pieces)
        headers = (("x-relay-loading", "1"),) if loading else ()
        return way, delivery, _Answer(200, pieces, b"", True, delivery.content_type, headers)

    def _chosen(self, model: str, way: _Way) -> tuple[Scenario | None, _Way]:
        """The scenario of a model's name, and what the words after it ask for."""
        if model in self.scenarios:
            return self.scenarios[model], way
        known = [name for name in self.scenarios if model.startswith(name + "+")]
        if not known:
            return None, way
        name = max(known, key=len)
        return self.scenarios[name], _by_words(way, model[len(name) + 1 :])

    def _unknown(self, model: str, turn: Turn, kind: Kind) -> _Answer:
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
            return _Answer(
                200, [frame.encoded() for frame in frames], stream=True, content_type="text/event-stream"
            )
        return _error(kind, kind.unknown_status, message, code)

    def _refusal(self, way: _Way, delivery: Delivery, request: Request, everywhere: bool) -> _Answer | None:
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

    # -- streams and responses, made once ------------------------------------------------------------------

    def _kept(self, scenario: Scenario, turn: Turn, way: _Way, loading: bool) -> Any:
        key = (
            scenario.id,
            turn,
            way.kind.name,
            tuple(chosen.name for chosen in way.faults),
            way.mode(turn),
            way.cut,
            way.reasoning,
            loading,
        )
        found = self._plans.get(key)
        if found is None:
            found = self._plans[key] = self._made(scenario, turn, way, loading)
            if len(self._plans) > _KEPT_PLANS:
                self._plans.popitem(last=False)
        else:
            self._plans.move_to_end(key)
        return found

    def _made(self, scenario: Scenario, turn: Turn, way: _Way, loading: bool) -> Any:
        kind, faults = way.kind, list(way.faults)
        if self.verbatim and scenario.raw is not None and turn.stream and turn.results is None:
            return _events(scenario.raw)
        mode = way.mode(turn)
        sayings = []
        for number in range(turn.choices):
            rng = random.Random(f"{self.seed} {scenario.id} {number}")
            sayings.append(say(scenario, turn, mode, way.reasoning, cutter(way.cut, rng), number))
        calls = any(saying.calls for saying in sayings)
        faults = [
            chosen
            for chosen in faults
            if (calls or chosen.fault.needs not in ("native", "both")) and _strikes(chosen, turn)
        ]
        if not turn.stream and kind.loses_cut_calls and any(s.cut and s.calls for s in sayings):
            faults += choose("text-lost")
        for place, saying in enumerate(sayings):
            for chosen in faults:
                sayings[place] = saying = chosen.apply("saying", saying)
        if not turn.stream:
            value = response_of(sayings, kind, scenario.id, _PROMPT_TOKENS)
            for chosen in faults:
                value = chosen.apply("response", value)
            return _status(value), encode(value).encode()
        chunks = chunks_of(sayings, kind, scenario.id, turn.usage, _PROMPT_TOKENS)
        for chosen in faults:
            chunks = chosen.apply("chunks", chunks)
        frames = [Frame(chunk) for chunk in chunks]
        if kind.done:
            frames.append(Frame(DONE))
        if loading:
            frames = choose("loading-frames")[0].apply("frames", frames)
        for chosen in faults:
            frames = chosen.apply("frames", frames)
        return [frame.encoded() for frame in frames]


# --- what a request asks for ----------------------------------------------------------------------------------


def _altered(way: _Way, name: str, value: str) -> _Way:
    """The way with one thing changed. Raises ReplayError for a value that there is not."""

    def one_of(known: Iterable[str]) -> str:
        if value not in (known := list(known)):
            raise ReplayError(f"{name} is one of {', '.join(known)}, not {value!r}")
        return value

    if name == "as":
        return replace(way, kind=KINDS[one_of(KINDS)])
    if name == "calls":
        return replace(way, calls=cast(CallsMode, one_of(CALLS)))
    if name == "cut":
        return replace(way, cut=cast(Cut, one_of(CUTS)))
    if name == "reasoning":
        return replace(way, reasoning=cast(ReasoningMode, one_of(REASONING)))
    if name == "rate":
        try:
            rate = float(value)
            good = 0 < rate < 1e6
        except ValueError:
            good = False
        if not good:
            raise ReplayError(f"rate is a number of chunks a second, not {value!r}")
        return replace(way, rate=rate)
    return replace(way, faults=(*way.faults, *choose(value)))


def _by_headers(way: _Way, headers: Mapping[str, str]) -> _Way:
    for name in ("as", "calls", "cut", "reasoning", "rate", "fault"):
        if value := headers.get(f"x-replay-{name}"):
            way = _altered(way, name, value)
    return way


def _by_words(way: _Way, words: str) -> _Way:
    for word in words.replace(",", "+").split("+"):
        name = next((name for name, known in _WORDS.items() if word in known), "fault")
        way = _altered(way, name, word)
    return way


_WORDS: Mapping[str, Iterable[str]] = {"as": KINDS, "calls": CALLS, "cut": CUTS}


def _delivery(way: _Way) -> Delivery:
    delivery = Delivery()
    for chosen in way.faults:
        delivery = chosen.apply("delivery", delivery)
    return delivery


# --- sending --------------------------------------------------------------------------------------------------


async def _at_once(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, pieces: Sequence[bytes], received: Received
) -> None:
    for piece in pieces:
        if reader.at_eof() or writer.transport.is_closing():
            raise ConnectionResetError
        if received.killed:
            break
        writer.write(piece)
        received.sent += 1
        if received.sent % 8 == 0:
            await writer.drain()
            await asyncio.sleep(0)
    await writer.drain()


async def _paced(
    reader: asyncio.StreamReader,
    writer: asyncio.StreamWriter,
    pieces: Sequence[bytes],
    gap: float,
    received: Received,
) -> None:
    """One piece each `gap` seconds: a timer and a write, no task switch."""
    loop = asyncio.get_running_loop()
    transport = writer.transport
    done: asyncio.Future[bool] = loop.create_future()
    start = loop.time()
    timer: asyncio.TimerHandle | None = None

    def step() -> None:
        nonlocal timer
        if done.done():
            return
        if reader.at_eof() or transport.is_closing():
            done.set_result(False)
            return
        if received.sent < len(pieces) and not received.killed:
            transport.write(pieces[received.sent])
            received.sent += 1
        if received.sent >= len(pieces) or received.killed:
            done.set_result(True)
            return
        timer = loop.call_at(start + received.sent * gap, step)

    step()
    try:
        if not await done:
            raise ConnectionResetError
    finally:
        if timer is not None:
            timer.cancel()
    await writer.drain()


async def _break_off(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, end: str, received: Received
) -> bool:
    received.ended = end
    await writer.drain()
    if end == "stall":
        while await reader.read(4096):
            pass
    elif end == "reset":
        await asyncio.sleep(0.01)  # what was written is on its way before the reset overtakes it
        http1.reset(writer)
    return False


# --- small things ---------------------------------------------------------------------------------------------


def _ok(value: Any) -> _Answer:
    return _Answer(200, body=encode(value).encode())


def _error(kind: Kind, status: int, message: str, code: str) -> _Answer:
    return _Answer(status, body=encode(error_body(kind, status, message, code)).encode())


def _refused(refusal: Refusal) -> _Answer:
    body = refusal.body.encode()
    return _Answer(refusal.status, body=body, content_type=refusal.content_type, headers=refusal.headers)


def _strikes(chosen: ChosenFault, turn: Turn) -> bool:
    """Whether a fault concerns a turn at all."""
    when = chosen.fault.when
    return when == "always" or (turn.tools and turn.stream if when == "asked" else turn.refused)


def _status(value: Mapping[str, Any]) -> int:
    """The status of a whole response that faults may have made an error of."""
    if "error" not in value:
        return 200
    code = value["error"].get("code")
    return code if isinstance(code, int) else 502


def _json(body: bytes) -> Any:
    if not body:
        return None
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        return body.decode("utf-8", "replace")


def _events(raw: bytes) -> list[bytes]:
    """A captured stream in its events, byte for byte."""
    pieces, held = [], b""
    for line in raw.splitlines(keepends=True):
        held += line
        if not line.strip(b"\r\n"):
            pieces.append(held)
            held = b""
    return [*pieces, held] if held else pieces


def _line(received: Received) -> str:
    """A request in one line."""
    what = f"{received.status} {received.method} {received.path}"
    if received.scenario:
        what += f" {received.scenario}"
    if received.stream:
        what += f", {received.sent} of {received.pieces} pieces"
    if received.faults:
        what += f", {'+'.join(received.faults)}"
    if received.ended not in ("", "whole"):
        what += f", {received.ended}"
    return f"{what}, {received.seconds:.3f} s"


def _why_not(error: OSError, host: str, port: int) -> str:
    if error.errno == errno.EADDRINUSE:
        return f"port {port} of {host} is taken: end what listens there, or give another --port (0: any free one)"
    if error.errno == errno.EACCES:
        return f"port {port} of {host} is not allowed for you: give another --port (0: any free one)"
    reason = os.strerror(error.errno) if error.errno and error.errno > 0 else str(error)
    return f"cannot listen on {host}:{port} ({reason}): --host must be an address of this machine, such as 127.0.0.1"
