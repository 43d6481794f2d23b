"""The examination of a gateway: what is asked, in which order, and what is made of the answers.

Theory. Each probe is a method that asks once (a suspicion of loss asks once more), keeps the answer under a name, and
gives checks. Later probes look back at earlier answers: a call that does not come while streaming is a loss only
because the same prompt gave one otherwise. Nothing is inferred: what a model did not do, or what was not asked, stays
`not tested`.

In the order of the probes: `models`, the server's kind, `completion`, `stream`, the same tool call streamed, not
streamed and with `tool_choice: "none"`, the turn with its result, parallel calls, a long argument, reasoning.
These are eleven completions at most, each with a bound of tokens.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from ...errors import HamrParsersError
from ...families import registry
from ...families.dialects import dialect
from ...wire import UpstreamError
from ..any_call import is_json_object
from ..config.provider import ModelSettings
from ..discovery import ServedModel, served_models
from ..errors import ClientError, GatewayError
from ..schema_check import check_arguments
from . import prompts
from .answer import Answer, Call, Reading
from .check import Check, Mark
from .cures import family_of, parser_lines, server_lines
from .identify import Identity, identify

if TYPE_CHECKING:
    from .gateway import Gateway

__all__ = ["Examination"]

_SHOWN = 120
_DROPPED = 0.75  # a prompt of fewer tokens than this share of another has lost its tools


@dataclass
class Examination:
    """The state of an examination: what was learnt so far.

    Attributes:
        max_tokens: of each answer but the long one.
        answers: by the name of the probe.
        served: the model that is examined, as the gateway lists it.
    """

    gateway: Gateway
    model: str | None = None
    max_tokens: int = 1024
    identity: Identity = field(default_factory=Identity)
    served: ServedModel | None = None
    settings: ModelSettings | None = None
    answers: dict[str, Answer] = field(default_factory=dict)

    def probes(self) -> list[tuple[str, Callable[[], Iterator[Check]]]]:
        """The probes by name, in their order."""
        return [
            ("models", self.models),
            ("completion", self.completion),
            ("stream", self.stream),
            ("call-streamed", self.call_streamed),
            ("call-whole", self.call_whole),
            ("call-text", self.call_text),
            ("call-compared", self.compared),
            ("result", self.result),
            ("parallel", self.parallel),
            ("long-argument", self.long_argument),
            ("reasoning", self.reasoning),
        ]

    def run(self) -> Iterator[Check]:
        """All checks, as they are done. When the gateway cannot be used, the rest is skipped."""
        stopped = ""
        failed: set[str] = set()
        endless = 0
        for name, probe in self.probes():
            if stopped:
                skipped = _skip(name, stopped)
                skipped.codes.append("not-tried")
                yield skipped
                continue
            try:
                for check in probe():
                    yield check
                    failed.add(check.id if check.mark == "failed" else "")
                    if {"completion", "stream"} <= failed:
                        stopped = "the gateway answers nothing"
                    if check.mark == "failed" and (name == "models" or check.exit_code in (3, 4, 5)):
                        stopped = "the gateway cannot be used"
                    endless += "endless" in check.codes
                    if endless >= 2:  # each of them costs minutes
                        stopped = "the gateway does not end its answers"
            except HamrParsersError as error:
                yield _failed(name, error)
                if name == "models":
                    stopped = "the gateway cannot be used"
        if not stopped:
            yield from self.ends()

    def ends(self) -> Iterator[Check]:
        """What no single answer shows: that none of them is whole, or says anything."""
        answers = [answer for answer in self.answers.values() if answer.error is None]
        streamed = [answer for answer in answers if answer.payload is None]
        if answers and not any(_speaks(answer.read) for answer in answers):
            yield Check(
                "answers", "gateway", "failed", "no text, no reasoning and no call came in any answer",
                [f"{len(answers)} answers of status 200"],
                ["the server's log; is the model loaded, and its chat template the right one?"], ["no-text"],
            )  # fmt: skip
        elif streamed and all(answer.cut for answer in streamed):
            check = Check("answers", "gateway", "failed", "every streamed answer is cut", codes=["all-cut"])
            endings = sum(answer.raw.finish is None for answer in streamed)
            if endings:
                check.details.append(
                    f"{endings} of {len(streamed)} streams end without a finish_reason: what is missing cannot be"
                    " mended, so they are given on as cut (length), and no call of them is run"
                )
                check.cures.append("the server's log; a proxy between that ends answers early")
            if endings < len(streamed):
                check.cures.append(
                    f"a larger --max-tokens (now {self.max_tokens}), or the server's own limit"
                )
            yield check

    # -- what is there -----------------------------------------------------------------------------------------------

    def models(self) -> Iterator[Check]:
        gateway = self.gateway
        headers, payload = gateway.models()
        listed = served_models(payload)
        if listed is None:
            raise gateway.no_models(headers, payload)
        gateway.known = [one.id for one in listed]
        names = ", ".join(gateway.known[:8]) + (f" and {len(listed) - 8} more" if len(listed) > 8 else "")
        count = f"{len(listed)} {'model' if len(listed) == 1 else 'models'}"
        mark: Mark = "passed" if listed else "warning"
        yield Check("models", "gateway", mark, f"GET /models: 200, {count}" + (f": {names}" if names else ""))
        self.identity = identify(gateway, headers, payload)
        known = self.identity
        said = f"{known.title} {known.version}".strip() if known.kind else "not recognised"
        yield Check(
            "server", "gateway", "passed" if known.kind else "skipped", f"server: {said}",
            [known.evidence] if known.evidence else [],
        )  # fmt: skip
        unknown = gateway.connection.provider.unknown_overrides(gateway.known)
        if unknown:
            said = f"modelOverrides of models that the gateway does not have: {', '.join(unknown)}"
            yield Check("overrides", "gateway", "warning", said, codes=["unknown-override"])
        wanted = self.model
        if wanted is None:
            configured = gateway.connection.configured_model()
            wanted = configured.value if configured is not None else None
        else:
            wanted = gateway.connection.provider.find_model(wanted) or wanted
        self.served = gateway.connection.choose(wanted, listed)
        self.settings = settings = gateway.connection.model(self.served.id, self.served)
        details = [settings.resolution.reason]
        if self.served.context_window:
            details.append(f"context window: {self.served.context_window} tokens, as the gateway says")
        yield Check("model", "gateway", "passed", f"{self.served.id}, read by {settings.parser}", details)

    def completion(self) -> Iterator[Check]:
        answer = self.ask("completion", prompts.completion(self.max_tokens, stream=False), "a short answer")
        yield self.answered("completion", answer, "completion")

    def stream(self) -> Iterator[Check]:
        answer = self.ask("stream", prompts.completion(self.max_tokens, stream=True), "a short stream")
        yield self.answered("stream", answer, "stream")

    # -- one call, asked for in three ways -------------------------------------------------------------------------

    def call_streamed(self) -> Iterator[Check]:
        answer = self.ask("call-streamed", prompts.tool_call(self.max_tokens, stream=True), "a streamed call")
        yield self.called("call-streamed", answer, "tool call, streamed")

    def call_whole(self) -> Iterator[Check]:
        answer = self.ask(
            "call-whole", prompts.tool_call(self.max_tokens, stream=False), "a call in one piece"
        )
        yield self.called("call-whole", answer, "tool call, not streamed")

    def call_text(self) -> Iterator[Check]:
        request = prompts.tool_call(self.max_tokens, stream=True, tool_choice="none")
        answer = self.answers["call-text"] = self._ask(request, "the same as text", read_calls=True)
        said = 'tool_choice "none"'
        if answer.error is not None:
            check = _failed("call-text", answer.error)
            streamed = self.answers.get("call-streamed")
            if (
                self.identity.kind in ("llamacpp", "relay")
                and streamed is not None
                and streamed.error is not None
            ):
                # of some templates its parser fails whatever is asked for
                check.cures.append(
                    "llama.cpp: llama-server --jinja --skip-chat-parsing leaves the text as it is, for us"
                )
            yield check
            return
        if answer.native_calls:
            yield Check(
                "call-text", "gateway", "warning", f"{said}: the server parses calls all the same",
                codes=["parses-always"],
            )  # fmt: skip
        elif answer.text_calls:
            said = f"{said}: the text comes as the model wrote it, and is read as {self.read_as(answer)}"
            yield Check("call-text", "gateway", "passed", said, [_calls(answer.read.calls)])
        elif self.dropped:
            yield Check(
                "call-text", "gateway", "warning", f"{said}: the server drops the tools from the prompt",
                [self.dropped], ['upstream="text" does not help here: the model does not see the tools'],
                ["drops-tools"],
            )  # fmt: skip
        else:
            said = f"{said}: the model did not write a call, so nothing is known of its text"
            yield Check("call-text", "gateway", "skipped", said, [_text(answer.raw)])

    @property
    def dropped(self) -> str:
        """That `tool_choice: "none"` takes the tools out of the prompt, as its number of tokens shows; "" if not."""
        none = self.answers.get("call-text")
        other = self.answers.get("call-streamed") or self.answers.get("call-whole")
        counts = (
            none.prompt_tokens if none is not None else None,
            other.prompt_tokens if other is not None else None,
        )
        if counts[0] is None or counts[1] is None or counts[0] >= counts[1] * _DROPPED:
            return ""
        return f"the prompt has {counts[0]} tokens instead of {counts[1]}"

    def compared(self) -> Iterator[Check]:
        """The same prompt streamed and not: what one loses and the other has."""
        streamed, whole = self.answers.get("call-streamed"), self.answers.get("call-whole")
        text = self.answers.get("call-text")
        if streamed is None or whole is None or streamed.error is not None or whole.error is not None:
            if text is not None and text.text_calls and streamed is not None and streamed.error is not None:
                yield self.fails_on_calls(text)
            else:
                yield _skip("call-compared", "one of the two answers is missing")
            return
        told = text is not None and bool(text.read.calls)
        if streamed.read.calls and whole.read.calls:
            names = [[call.name for call in answer.read.calls] for answer in (streamed, whole)]
            if names[0] == names[1]:
                yield Check(
                    "call-compared", "gateway", "passed", "the same call comes streamed and not streamed"
                )
            else:
                said = "other calls come streamed than not streamed"
                details = [
                    f"{word}: {_calls(a.read.calls)}" for word, a in (("streamed", streamed), ("not", whole))
                ]
                yield Check("call-compared", "gateway", "warning", said, details, codes=["calls-differ"])
        elif streamed.read.calls:
            if whole.cut or streamed.cut:
                yield _skip("call-compared", "an answer was cut by max_tokens")
                return
            yield Check(
                "call-compared", "gateway", "warning", "the call comes only while streaming",
                [f"not streamed: {_text(whole.raw)}"], ["ask with stream: true"], ["lost-whole"],
            )  # fmt: skip
        elif whole.read.calls or told:
            yield from self.lost(streamed, whole, text)
        else:
            yield _skip("call-compared", "the model wrote no call, streamed or not")

    def lost(self, streamed: Answer, whole: Answer, text: Answer | None) -> Iterator[Check]:
        """A call that is there, but not while streaming: asked once more, since models may change their mind."""
        if streamed.cut:
            yield _skip("call-compared", "the streamed answer was cut by max_tokens")
            return
        again = self._ask(prompts.tool_call(self.max_tokens, stream=True), "the streamed call once more")
        evidence = [f"streamed: {_text(streamed.raw)}"]
        if whole.read.calls:
            kind = "a call of the server" if whole.native_calls else "as text"
            evidence.append(f"not streamed: {_calls(whole.read.calls)} ({kind})")
        if text is not None and text.read.calls:
            evidence.append(f'with tool_choice "none": {_calls(text.read.calls)}')
        if again.error is None and again.read.calls:
            said = "one of two streamed answers lost the call"
            yield Check(
                "call-compared", "gateway", "warning", said, evidence, codes=["lost-streaming-sometimes"]
            )
            return
        self.answers["call-again"] = again
        raw = next((a.raw.content for a in (text, whole) if a is not None and a.text_calls), None)
        said = "the server loses the call while streaming: it is gone, and no client can mend that"
        yield Check(
            "call-compared",
            "gateway",
            "failed",
            said,
            evidence,
            self.other_ways(raw, text),
            ["lost-streaming"],
        )

    def fails_on_calls(self, text: Answer) -> Check:
        """The server gives an error where the model calls, although its text can be read."""
        said = "the server fails over the model's call, which comes whole as text"
        evidence = [f'with tool_choice "none": {_calls(text.read.calls)}']
        cures = self.other_ways(text.raw.content, text)
        return Check("call-compared", "gateway", "failed", said, evidence, cures, ["fails-on-calls"])

    def other_ways(self, raw: str | None, text: Answer | None) -> list[str]:
        """What to do about a server whose parser does not fit the model."""
        settings = self.examined
        family = family_of(settings.id, raw)
        cures = []
        flags = server_lines(family, self.identity)
        if flags:
            cures.append(
                f"the server's parser does not fit the model ({family.id}, {family.why}); start it with:"
            )
            cures += flags
        else:
            cures.append(
                "the server's own tool-call parser does not fit the model: choose its family's, or none"
            )
        if text is not None and text.text_calls:
            cures.append(
                'or leave the server as it is and use upstream="text" (ChatClient, the transports;'
                " `hamr-parse serve --upstream-mode text`): the text then comes whole, and is parsed here"
            )
        elif self.dropped:
            cures.append(f'upstream="text" does not help: with tool_choice "none", {self.dropped}')
        return cures + parser_lines(family, settings.parser)

    # -- more of calls -------------------------------------------------------------------------------------------------

    def result(self) -> Iterator[Check]:
        before = next(
            (a for name in ("call-streamed", "call-whole") if (a := self.answers.get(name)) and a.read.calls),
            None,
        )
        call = before.read.calls[0] if before is not None else None
        arguments = call.arguments if call is not None and call.whole else '{"city": "Paris", "days": 3}'
        request = prompts.result(self.max_tokens, "call00001", arguments)
        answer = self.ask("result", request, "the answer to a result")
        if answer.error is not None:
            check = self.answered("result", answer, "history with a call and its result")
            refused = answer.status and answer.died is False
            cure = self.other_history(arguments) if refused else ""
            if cure:
                check.mark, check.exit_code = "warning", 1
                check.cures.append(cure)
                check.codes.append("history-refused")
            else:
                if not answer.died:
                    check.details.append(
                        "the server, or the model's chat template, does not take a history with calls"
                    )
            yield check
            return
        if answer.read.content.strip():
            quoted = "21" in answer.read.content
            note = [] if quoted else ["the answer does not quote the result"]
            details = [*note, _text(answer.read)]
            yield Check(
                "result", "gateway", "passed", "history with a call and its result: answered", details
            )
        elif answer.read.calls:
            said = "history with a call and its result: taken, but the model called again"
            yield Check("result", "gateway", "warning", said, [_calls(answer.read.calls)])
        else:
            yield Check(
                "result", "gateway", "warning", "history with a call and its result: no text came back"
            )

    def other_history(self, arguments: str) -> str:
        """How a history must be written that was refused as the API has it; "" if no way is found."""
        ways: tuple[tuple[dict[str, str], dict[str, str], str], ...] = (
            ({"content": ""}, {}, "null_content=False"),
            ({"content": ""}, {"name": "get_weather"}, "null_content=False, tool_names=True"),
        )
        for call, result, options in ways:
            request = prompts.result(self.max_tokens, "call00001", arguments)
            request["messages"][-2].update(call)
            request["messages"][-1].update(result)
            if self._ask(request, "the same history in other words").error is None:
                return f"it is taken as repair_history(messages, {options}) writes it"
        return ""

    def parallel(self) -> Iterator[Check]:
        answer = self.ask("parallel", prompts.parallel(self.max_tokens), "two calls in one answer")
        check = self.called("parallel", answer, "two calls in one answer")
        if answer.error is None and answer.read.calls and check.mark != "failed":
            count = len(answer.read.calls)
            if count == 1 and check.mark == "passed":
                check.mark, check.summary = (
                    "skipped",
                    "two calls in one answer: the model makes one call at a time",
                )
            elif count > 1:
                check.details.append(f"{count} calls")
        yield check

    def long_argument(self) -> Iterator[Check]:
        request = prompts.long_argument(max(self.max_tokens, 2048))
        answer = self.ask("long-argument", request, "a call with a long argument")
        check = self.called("long-argument", answer, "a long argument")
        call = answer.read.calls[0] if answer.read.calls else None
        if check.mark == "passed" and call is not None:
            lines = call.arguments.count("\\n") + 1
            check.details.append(f"{len(call.arguments)} characters, {lines} lines, in {call.pieces} pieces")
            if call.pieces <= 2 and len(call.arguments) > 200:
                check.details.append("it comes in one piece at the end: the server holds arguments back")
                check.codes.append("arguments-held-back")
        yield check

    # -- reasoning ---------------------------------------------------------------------------------------------------

    def reasoning(self) -> Iterator[Check]:
        answer = self.ask("reasoning", prompts.reasoning(self.max_tokens), "some reasoning")
        if answer.error is not None:
            yield _failed("reasoning", answer.error)
            return
        check = self.reasoned()
        self.shape(check, answer)
        yield check

    def reasoned(self) -> Check:
        """What became of the reasoning of all answers."""
        answers = self.answers.values()
        fields = dict.fromkeys(name for answer in answers for name in answer.raw.reasoning_fields)
        leaked = [answer for answer in answers if sanitized(answer)]
        left = [answer for answer in answers if still_leaks(answer)]
        family = family_of(self.examined.id, None)
        check = Check("reasoning", "gateway", "passed", f"reasoning comes in {' and '.join(fields)}")
        if left:
            marks = ", ".join(dict.fromkeys(mark for answer in left for mark in still_leaks(answer)))
            check.mark, check.summary = "failed", f"markup of the model stays in the content: {marks}"
            check.details, check.codes = [_text(left[0].read)], ["markup-left"]
            check.cures = parser_lines(family, self.examined.parser)
        elif leaked:
            flags = [line for line in server_lines(family, self.identity) if "reason" in line]
            check.mark, check.summary = "warning", "reasoning comes inside the content; it is taken out here"
            check.details, check.codes = [_text(leaked[0].raw)], ["reasoning-in-content"]
            check.cures = ["for other clients: the proxy, `hamr-parse serve --upstream URL`", *flags]
        elif not fields:
            check.mark, check.summary = "skipped", "the model did not reason, so nothing is known"
        return check

    # -- what all of them share ----------------------------------------------------------------------------------------

    @property
    def examined(self) -> ModelSettings:
        """The model under examination."""
        assert self.settings is not None
        return self.settings

    def ask(self, name: str, request: Mapping[str, Any], what: str) -> Answer:
        answer = self.answers[name] = self._ask(request, what)
        return answer

    def _ask(self, request: Mapping[str, Any], what: str, *, read_calls: bool = False) -> Answer:
        return self.gateway.ask(self.examined, request, what, read_calls=read_calls)

    def answered(self, id: str, answer: Answer, what: str) -> Check:
        """An answer that is to have some text."""
        if answer.error is not None:
            check = _failed(id, answer.error)
            check.codes += [one.code for one in answer.oddities if one.code == "error-in-stream"]
            if answer.raw.content:
                check.details.append(f"before that came: {_text(answer.raw)}")
            return check
        check = Check(id, "gateway", "passed", f"{what}: {_time(answer)}, {_text(answer.read)}")
        if answer.loading:
            check.details.append("the gateway loaded the model first")
        if not answer.read.content.strip() and not answer.read.calls:
            check.mark = "warning"
            check.summary = f"{what}: {_time(answer)}, no text came"
            if answer.read.reasoning:
                check.details.append("only reasoning came: a larger --max-tokens may be needed")
        self.shape(check, answer)
        return check

    def called(self, id: str, answer: Answer, what: str) -> Check:
        """An answer that is to have a call."""
        if answer.error is not None:
            check = _failed(id, answer.error)
            if "call" in str(answer.error).lower() or answer.raw.content:
                check.details.append(f"before that came: {_text(answer.raw)}" if answer.raw.content else "")
                check.details = [line for line in check.details if line]
            if any(one.code == "error-in-stream" for one in answer.oddities):
                check.codes.append("error-in-stream")
                check.cures.append(
                    'if the error is about the format of the call: use upstream="text", so that the server does not'
                    " parse it"
                )
            return check
        calls = answer.read.calls
        if not calls:
            return self.no_call(id, answer, what)
        kind = "text" if answer.text_calls else "native"
        check = Check(id, "gateway", "passed", f"{what}: {_calls(calls)}")
        if kind == "text" and not answer.doubled:
            self.left_as_text(check, answer, what)
        wrong = [fault for call in calls for fault in faults(call)]
        cut = [call for call in calls if not call.whole]
        if answer.read.finish == "length" or cut:
            by_limit = answer.raw.finish == "length"
            check.mark = "skipped" if by_limit else "failed"
            why = "by max_tokens" if by_limit else "the stream ended"
            check.summary = f"{what}: the call was cut ({why})"
            if not by_limit:
                check.codes.append("cut-call")
        elif wrong:
            check.mark = "warning"
            check.details += [f"its arguments do not fit the schema: {fault}" for fault in wrong[:3]]
            check.codes.append("arguments-off-schema")
        self.shape(check, answer)
        return check

    def no_call(self, id: str, answer: Answer, what: str) -> Check:
        """No call was found: is there one that nobody reads?"""
        settings = self.examined
        for place, text in (("content", answer.raw.content), ("reasoning", answer.raw.reasoning)):
            family = family_of(settings.id, text)
            if family.why == "by the text of its call":
                check = Check(
                    id, "gateway", "failed", f"{what}: the {place} holds a call of {family.id} that {settings.parser}"
                    " does not read", [_text(Reading(content=text))], parser_lines(family, settings.parser),
                    ["call-left-in-text"],
                )  # fmt: skip
                return check
        if answer.cut:
            said = (
                "the stream ended without a finish_reason"
                if answer.raw.finish is None
                else "cut by max_tokens"
            )
            check = Check(id, "gateway", "skipped", f"{what}: no call before the answer was over ({said})")
        else:
            check = Check(id, "gateway", "skipped", f"{what}: the model did not call", [_text(answer.raw)])
        self.shape(check, answer)
        return check

    def left_as_text(self, check: Check, answer: Answer, what: str) -> None:
        """The call is text, which this library reads: say how others could have it."""
        settings = self.examined
        family = family_of(settings.id, answer.raw.content)
        if check.id.startswith("call"):  # told once, and not for each question
            check.mark = "warning"
        check.codes.append("call-as-text")
        read = f"left as text by the server and read as {self.read_as(answer)}"
        check.summary = f"{what}: {_calls(answer.read.calls)}, {read}"
        if any(call.name not in answer.raw.content for call in answer.text_calls):
            check.details.append("the call stands in the reasoning field")
            check.codes.append("call-in-reasoning")
        check.cures += parser_lines(family, settings.parser)
        check.cures.append(
            "for clients that do not use this library: the proxy, `hamr-parse serve --upstream URL`"
        )
        flags = server_lines(family, self.identity)
        if flags:
            check.cures.append("or the server parses it itself:")
            check.cures += flags

    def read_as(self, answer: Answer) -> str:
        """The family that read an answer's text calls; where `auto` did, the one that it found."""
        family = answer.text_parser or ""
        if family != "auto":
            return family
        return family_of(self.examined.id, answer.raw.content).id or family

    def shape(self, check: Check, answer: Answer) -> None:
        """Add what is wrong with the shape of an answer."""
        bad = False
        for oddity in answer.oddities:
            if oddity.code not in check.codes:
                check.codes.append(oddity.code)
            if not oddity.breaks:
                check.details.append(str(oddity))
                continue
            bad = True
            if oddity.code == "no-finish":  # its shape is mended, what is missing is not
                check.details.append(f"{oddity}: given on as cut (length)")
                continue
            cured = "mended here" if oddity.cured else "not mended"
            check.details.append(f"{oddity}: {cured}")
            if not oddity.cured:
                check.mark = "failed"
        if bad and check.mark == "passed":
            check.mark = "warning"
        if bad and not check.cures:
            check.cures.append(
                "for clients that do not use this library: the proxy, `hamr-parse serve --upstream URL`"
            )


def _speaks(reading: Reading) -> bool:
    """Whether an answer says anything."""
    return bool(reading.content.strip() or reading.reasoning.strip() or reading.calls)


def faults(call: Call) -> list[str]:
    """What is wrong with the arguments of a call of one of our tools; other tools are not ours to judge."""
    if call.name not in {tool["function"]["name"] for tool in prompts.TOOLS} or not is_json_object(
        call.arguments
    ):
        return []
    return check_arguments({"name": call.name, "arguments": call.arguments}, prompts.TOOLS)


def sanitized(answer: Answer) -> bool:
    """Whether reasoning was taken out of the content."""
    return (
        len(answer.read.reasoning.strip()) > len(answer.raw.reasoning.strip())
        and not answer.raw.reasoning.strip()
    )


@lru_cache(maxsize=1)
def _reasoning_marks() -> tuple[str, ...]:
    """How the families open and close reasoning, where the mark says so itself."""
    found: dict[str, None] = {}
    for family in registry.list_families():
        grammar = dialect(family).grammar if family.kind == "grammar" else None
        for name in ("THINK", "END_THINK"):
            texts = grammar.spellings.get(name, ()) if grammar is not None else ()
            found.update((text.strip(), None) for text in texts if _SAYS_SO.search(text))
    return tuple(found)


_SAYS_SO = re.compile(r"think|thought|analysis|inner_|final response", re.IGNORECASE)


def still_leaks(answer: Answer) -> Sequence[str]:
    """The marks of reasoning that are left in the content."""
    content = answer.read.content
    if answer.error is not None or not any(sign in content for sign in "<[◁"):
        return []
    return [mark for mark in _reasoning_marks() if mark in content]


def _skip(id: str, why: str) -> Check:
    return Check(id, "gateway", "skipped", f"{_WHAT.get(id, id)}: {why}")


def _failed(id: str, error: HamrParsersError | UpstreamError) -> Check:
    code = error.exit_code if isinstance(error, ClientError) else 1
    check = Check(id, "gateway", "failed", f"{_WHAT.get(id, id)}: {error}", exit_code=code)
    if isinstance(error, GatewayError) and error.code == "endless":
        check.codes.append("endless")
        check.cures.append(
            "give the server a limit of its own (llama.cpp: -n TOKENS), so that an answer ends"
        )
    return check


_WHAT = {
    "models": "GET /models",
    "call-streamed": "tool call, streamed",
    "call-whole": "tool call, not streamed",
    "call-text": 'tool_choice "none"',
    "call-compared": "streamed and not streamed",
    "result": "history with a call and its result",
    "parallel": "two calls in one answer",
    "long-argument": "a long argument",
}


def _time(answer: Answer) -> str:
    return f"{answer.seconds:.1f} s" + (f" (first byte {answer.first:.1f} s)" if answer.first > 1 else "")


def _text(reading: Reading) -> str:
    text = " ".join(reading.content.split())
    if not text and reading.reasoning:
        return f"no text, {len(reading.reasoning)} characters of reasoning"
    return f'"{text if len(text) <= _SHOWN else text[: _SHOWN - 3] + "..."}"' if text else "no text"


def _calls(calls: Sequence[Call]) -> str:
    shown = ", ".join(map(str, calls[:3]))
    return shown + (f" and {len(calls) - 3} more" if len(calls) > 3 else "")
