"""The compatibility report: the fields that Hamr's doctor has, filled from what was seen, and its three forms.

Theory. A field says what happened and nothing else: `not tested` until an answer shows the one or the other. The
report is for others to read, so it is scrubbed: secrets are blanked, and a host that is neither this machine nor a
public service is left out.
"""

from __future__ import annotations

import ipaddress
import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any, Literal
from urllib.parse import urlsplit, urlunsplit

from ..._version import __version__
from .answer import Answer
from .check import MARKS, Check, Mark
from .examine import Examination, faults, sanitized, still_leaks
from .identify import quantization

__all__ = ["SCHEMA_VERSION", "Report", "Verdict", "make_report"]

SCHEMA_VERSION = 1
Verdict = Literal["pass", "partial", "fail", "not tested"]
_PUBLIC = (
    "openrouter.ai",
    "googleapis.com",
    "openai.com",
    "mistral.ai",
    "groq.com",
    "together.xyz",
    "deepseek.com",
)
NOT_TESTED = "not tested"


@dataclass(slots=True)
class Report:
    """The fields of hamr.md's compatibility report, and the checks behind them."""

    hamr_parsers_version: str
    tested_at: str
    tester: str
    provider_gateway: str = NOT_TESTED
    provider_version: str = NOT_TESTED
    base_url: str = NOT_TESTED
    model: str = NOT_TESTED
    quantization: str = NOT_TESTED
    endpoint_compatibility: Verdict = "not tested"
    native_tool_calls: Verdict = "not tested"
    text_tool_calls: Verdict = "not tested"
    reasoning_leakage: str = NOT_TESTED
    max_context_tested: int | str = NOT_TESTED
    diagnostics: list[str] = field(default_factory=list)
    caveats: list[str] = field(default_factory=list)
    checks: list[Check] = field(default_factory=list)
    interrupted: bool = False

    def counts(self) -> dict[Mark, int]:
        """How many checks ended with each mark."""
        return {mark: sum(check.mark == mark for check in self.checks) for mark in MARKS}

    @property
    def exit_code(self) -> int:
        """0 without failures, else what the first failure says."""
        return next((check.exit_code for check in self.checks if check.mark == "failed"), 0)

    @property
    def summary(self) -> str:
        """One line."""
        counts = self.counts()
        words = [f"{counts['passed']} passed"]
        words.append(f"{counts['warning']} {'warning' if counts['warning'] == 1 else 'warnings'}")
        said = ", ".join([*words, f"{counts['failed']} failed", f"{counts['skipped']} skipped"])
        return f"interrupted, so far: {said}" if self.interrupted else said

    def fields(self) -> dict[str, Any]:
        """The report's own fields, in their order."""
        names = [name for name in self.__dataclass_fields__ if name not in ("checks", "interrupted")]
        return {name: getattr(self, name) for name in names}

    def to_dict(self) -> dict[str, Any]:
        """A JSON-ready dict."""
        return {
            "schema_version": SCHEMA_VERSION,
            **self.fields(),
            "summary": {**self.counts(), "text": self.summary},
            "checks": [check.to_dict() for check in self.checks],
        }

    def to_json(self) -> str:
        """The report as JSON."""
        return json.dumps(self.to_dict(), ensure_ascii=False, indent=2) + "\n"

    def to_markdown(self) -> str:
        """The report as Markdown."""
        lines = ["# Compatibility report", "", "| field | value |", "|---|---|"]
        for name, value in self.fields().items():
            if name not in ("diagnostics", "caveats"):
                lines.append(f"| `{name}` | {_cell(str(value))} |")
        for title, said in (("Diagnostics", self.diagnostics), ("Caveats", self.caveats)):
            lines += ["", f"## {title}", "", *([f"- {_inline(line)}" for line in said] or ["none"])]
        lines += ["", "## Checks", "", self.summary, ""]
        for check in self.checks:
            lines.append(f"- **{check.mark}** {_inline(check.summary)}")
            lines += [f"  - {_inline(line)}" for line in check.details]
            lines += [f"  - cure: {_inline(line)}" for line in check.cures]
        return "\n".join(lines) + "\n"


def _inline(text: str) -> str:
    """Text of a model or server as Markdown text: one line, nothing of it markup."""
    return re.sub(r"([\\`*_<>\[\]])", r"\\\1", " ".join(text.split()))


def _cell(text: str) -> str:
    return _inline(text).replace("|", "\\|")


def make_report(
    checks: Sequence[Check],
    examination: Examination | None,
    *,
    tester: str,
    full: bool = False,
    interrupted: bool = False,
) -> Report:
    """The report of an examination, as far as it came."""
    now = datetime.now(UTC).replace(microsecond=0)
    report = Report(__version__, now.isoformat().replace("+00:00", "Z"), tester, checks=list(checks))
    report.diagnostics = [
        f"{check.id}: {code}"
        for check in checks
        if check.mark in ("warning", "failed")
        for code in check.codes
    ]
    report.interrupted = interrupted
    if interrupted:
        report.caveats.append("the examination was interrupted: what is missing was not tested")
    if examination is None:
        why = "a local check failed" if full else "--full asks it"
        report.caveats.append(f"only local checks, no gateway was asked: {why}")
        return report
    connection = examination.gateway.connection
    report.base_url = redacted(connection.base_url)
    if examination.identity.kind:
        report.provider_gateway = examination.identity.title
        report.provider_version = examination.identity.version or "unknown"
    elif any(check.id == "server" for check in checks):
        report.provider_gateway = report.provider_version = "unknown"
    served = examination.served
    if served is not None:
        report.model = served.id
        report.quantization = quantization(served.id, served.raw)
    answers = list(examination.answers.values())
    report.endpoint_compatibility = _endpoint(checks, examination)
    report.native_tool_calls = _calls(answers, checks, native=True)
    report.text_tool_calls = _calls(answers, checks, native=False)
    report.reasoning_leakage = _leakage(answers)
    tokens = [count for answer in answers if answer.error is None and (count := answer.prompt_tokens)]
    if tokens:
        report.max_context_tested = max(tokens)
    report.caveats += _caveats(examination, answers)
    _scrub(report, connection.base_url, connection.blank)
    return report


def _endpoint(checks: Iterable[Check], examination: Examination) -> Verdict:
    """`/models`, a completion and a stream: all as they should be, or mended, or not usable."""
    marks = {check.id: check.mark for check in checks if check.id in ("models", "completion", "stream")}
    if any(check.id == "answers" and check.mark == "failed" for check in checks):
        marks["stream"] = "failed"  # it came, but neither whole nor saying anything
    if "failed" in marks.values():
        return (
            "partial" if marks.get("models") == "passed" and "passed" in list(marks.values())[1:] else "fail"
        )
    if len(marks) < 3 or "skipped" in marks.values():
        return "not tested"
    failed = any(check.group == "gateway" and check.mark == "failed" for check in checks)
    if failed or "warning" in marks.values():
        return "partial"
    deviates = any(o.breaks for answer in examination.answers.values() for o in answer.oddities)
    return "partial" if deviates else "pass"


#: What says that the server does not send calls as calls.
_FAILS = ("call-as-text", "call-left-in-text", "lost-streaming", "fails-on-calls")


def _calls(answers: Sequence[Answer], checks: Iterable[Check], *, native: bool) -> Verdict:
    """Calls of the server, or calls that it left as text: whether they came right, wherever there were any."""
    seen = good = 0
    for answer in answers:
        found = answer.native_calls if native else [] if answer.doubled else answer.text_calls
        if native and answer.doubled:
            found = answer.read.calls
        if not found:
            continue
        seen += 1
        wrong = any(not call.whole or faults(call) for call in found) or (answer.error is not None)
        deviates = native and any(o.breaks for o in answer.oddities)
        good += not wrong and not deviates
    codes = {
        code for check in checks if check.id.startswith(("call", "parallel", "long")) for code in check.codes
    }
    if native:
        as_text = any(code in codes for code in _FAILS)
        if not seen:
            return "fail" if as_text else "not tested"
        return "pass" if good == seen and not as_text else "partial"
    if not seen:
        return "fail" if "call-left-in-text" in codes else "not tested"
    return "pass" if good == seen and "call-left-in-text" not in codes else "partial"


def _leakage(answers: Sequence[Answer]) -> str:
    if any(still_leaks(answer) for answer in answers):
        return "leaked"
    if any(sanitized(answer) for answer in answers):
        return "sanitized"
    if any(answer.raw.reasoning_fields for answer in answers):
        return "none observed"
    return NOT_TESTED


def _caveats(examination: Examination, answers: Sequence[Answer]) -> list[str]:
    found = []
    gateway = examination.gateway
    found.append(
        f"{gateway.requests} requests at temperature 0, {gateway.tokens} tokens as the server counts them; another"
        " prompt may show what these do not"
    )
    if examination.settings is not None:
        found.append(f"text was read as {examination.settings.parser}")
    if any(answer.loading for answer in answers):
        found.append("the gateway loaded the model during the examination: times include that")
    if not any(answer.read.calls for answer in answers):
        found.append("no answer held a call: nothing is known about calls")
    return found


def redacted(url: str) -> str:
    """A base URL without credentials, and without a host that is private to somebody."""
    parts = urlsplit(url)
    host = parts.hostname or ""
    shown = host if _showable(host) else "<host>"
    port = f":{parts.port}" if parts.port else ""
    return urlunsplit((parts.scheme, shown + port, parts.path, "", ""))


def _showable(host: str) -> bool:
    if host == "localhost" or any(host == name or host.endswith("." + name) for name in _PUBLIC):
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _scrub(report: Report, base_url: str, blank: Any) -> None:
    """Take secrets, and a private host, out of every sentence."""
    host = urlsplit(base_url).hostname or ""

    def clean(text: str) -> str:
        text = str(blank(text))
        return text if not host or _showable(host) else text.replace(host, "<host>")

    report.diagnostics = [clean(line) for line in report.diagnostics]
    report.caveats = [clean(line) for line in report.caveats]
    report.checks = [replace(check) for check in report.checks]
    for check in report.checks:
        check.hide(clean)
