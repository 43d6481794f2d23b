"""docs/clients.md: which programs get right calls from which gateways, before the cure and after it.

python -m tests.clients.table [--jobs N] [--only WORD]... [-o docs/clients.md]

Runs every program that is installed here through every trial, raw and in each way of cure (some minutes), records what
was wrong in results.json, and writes the document from it. Programs that are not installed keep what was recorded: run
it in an environment with the extra `clients`, and in one with `clients-openai2`. With `--write` nothing is run.
"""

from __future__ import annotations

import argparse
import hashlib
import importlib.metadata
import json
import subprocess
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from hamr_parsers.serve.replay import KINDS
from tests.clients import gateway
from tests.clients.gateway import Trial
from tests.clients.program import Program
from tests.clients.programs import PROGRAMS, openai_sdk
from tests.clients.runs import BEYOND, WAYS, Stand, beyond, met

RESULTS = Path(__file__).with_name("results.json")
DOCUMENT = Path(__file__).resolve().parents[2] / "docs" / "clients.md"
Results = dict[str, dict[str, Any]]

INTRODUCTION = """Real client programs, each a whole agent loop (question, calls, results, answer), before
the replay gateway over HTTP: as they are (*before*), and cured (*after*): through the transport of
`hamr_parsers.client`, through `hamr-parse serve`, and, for loops of one's own, with `normalize_stream`. A
cell counts as right *after* if each way that the program can take is right; programs of Node take the
proxy alone."""

WORDS = """Right is: exactly the calls that the model wrote were run, and the answer is the model's. Where
no right answer is to be had (the connection breaks, an error comes in the stream, a call is cut), right
is: no half call was run, and an error or the finish reason `length` reached the program. Everything else
has a word:

- **error**: the program ended with an exception.
- **lost**: the calls were not run, or not all of them, and nothing told so.
- **half**: a call was run with a part of its arguments.
- **wrong**: another call was run, or the answer is not the model's.
- **untold**: the answer was cut or the gateway reported an error, and the program does not know."""

DROPS = """these clients close the JSON of a call that was cut, and pass it on as a whole one without an
  error, whatever the finish reason says. Their cure is `incomplete="drop"` (`--incomplete drop`): a call
  is given out only when it is whole, which costs the live view of its arguments. All others raise, or do
  not run a call that was cut."""

LLAMACPP = """The same programs before llama.cpp's own server, whose model recites a text
(`tests/clients/llamacpp`); its template is that of Hermes. After: all right, by transport and proxy."""

LLAMACPP_TEXT = """It leaves the tools in the prompt with `tool_choice: "none"`, so `upstream="text"` hides nothing from
the model. Where a format frames the content, too (Kimi K3, Solar Open, Muse), its parser refuses calls even then, with
a 500: there the server's own flag `--skip-chat-parsing` is the cure, which leaves everything as text."""

DISTRIBUTIONS = {
    "pydantic_ai": "pydantic-ai-slim",
    "langchain_openai": "langchain-openai",
    "agents": "openai-agents",
}


def all_trials() -> list[Trial]:
    return gateway.kinds() + gateway.faults()


def version(program: Program) -> str:
    """The version of a program's client here."""
    if program.package == "node":
        pinned = json.loads((Path(__file__).parent / "node" / "package.json").read_text())["dependencies"]
        return str(pinned["ai" if program.client.startswith("Vercel") else "openai"])
    return importlib.metadata.version(DISTRIBUTIONS.get(program.package, program.package))


def digest(program: Program) -> str:
    """Names all trials that a program is put to: another one makes what was recorded stale."""
    trials = sorted(trial.id for trial in all_trials() if trial.applies(program))
    return hashlib.sha256("\n".join(trials).encode()).hexdigest()[:12]


# --- running ------------------------------------------------------------------------------------------------------


def measure(programs: Iterable[Program], say: bool = True) -> Results:
    """What each program gets wrong, by way and trial."""
    found: Results = {}
    with Stand() as stand:
        for program in programs:
            wrong: dict[str, dict[str, str]] = {}
            for way in WAYS:
                for trial in all_trials():
                    if not met(trial, program, way):
                        continue
                    verdict, outcome = stand.run(trial, program, way)
                    if verdict != "right":
                        wrong.setdefault(way, {})[trial.id] = verdict
                        if say and way != "raw" and not beyond(trial, program):
                            print(f"{program.id}: {trial.id}: {way}: {verdict}: {outcome}", file=sys.stderr)
            found[program.id] = {"version": version(program), "met": digest(program), "wrong": wrong}
    return found


def measure_in(jobs: int, programs: Sequence[Program]) -> Results:
    """`measure`, in several processes."""
    if jobs < 2:
        return measure(programs)
    command = [sys.executable, "-m", "tests.clients.table", "--jobs", "1", "--measure"]
    running = [
        subprocess.Popen([*command, *(program.id for program in programs[at::jobs])], stdout=subprocess.PIPE)
        for at in range(jobs)
    ]
    found: Results = {}
    for process in running:
        told, _ = process.communicate()
        if process.returncode:
            raise SystemExit(process.returncode)
        found.update(json.loads(told))
    return found


def recorded() -> Results:
    results: Results = json.loads(RESULTS.read_text(encoding="utf-8"))
    return results


# --- writing ------------------------------------------------------------------------------------------------------


def every_program() -> list[Program]:
    """The programs of both environments: those of the other major version of `openai`, too."""
    others = [
        p for p in PROGRAMS if not p.client.startswith("openai 2") and not p.client.startswith("openai 3")
    ]
    return [*openai_sdk.programs("3"), *openai_sdk.programs("2"), *others]


class Record:
    """The recorded results, as the document asks for them."""

    def __init__(self, results: Results) -> None:
        self.results = results
        self.programs = [program for program in every_program() if program.id in results]

    def before(self, trial: Trial, program: Program) -> str:
        return str(self._wrong(program, "raw").get(trial.id, "right"))

    def after(self, trial: Trial, program: Program) -> str:
        """Right only if each way of cure is."""
        for way in WAYS[1:]:
            if met(trial, program, way) and trial.id in self._wrong(program, way):
                return str(self._wrong(program, way)[trial.id])
        return "right"

    def _wrong(self, program: Program, way: str) -> dict[str, str]:
        wrong: dict[str, str] = self.results[program.id]["wrong"].get(way, {})
        return wrong

    def meeting(self, trial: Trial) -> list[Program]:
        return [program for program in self.programs if trial.applies(program)]


def short(program: Program) -> str:
    return program.client if program.stream else f"{program.client} (whole)"


MANY = 6


def told(record: Record, trial: Trial, *, before: bool) -> str:
    """A cell: who is wrong, and how."""
    programs = record.meeting(trial)
    judge = record.before if before else record.after
    names: dict[str, list[str]] = {}
    for program in programs:
        names.setdefault(judge(trial, program), []).append(short(program))
    right = names.pop("right", [])
    if not names:
        return f"all {len(programs)} right"
    *others, (verdict, most) = sorted(names.items(), key=lambda item: (len(item[1]), item[0]))
    parts = [f"**{word}**: {listed(some)}" for word, some in others]
    if len(most) > MANY > len(right):
        parts.append(f"**{verdict}**: all{' others' if parts or right else ''}")
        if right:
            parts.append(f"right: {listed(right)}")
    else:
        parts.append(f"**{verdict}**: {listed(most)}")
    return "; ".join(parts)


def listed(names: Sequence[str]) -> str:
    """Names in a row; what both major versions of `openai` do is said once."""
    kept = list(names)
    for name in names:
        twin = name.replace("openai 3", "openai 2")
        if twin != name and twin in kept:
            kept[kept.index(name)] = name.replace("openai 3", "openai")
            kept.remove(twin)
    if "openai loop" in kept and "openai async loop" in kept:
        kept[kept.index("openai loop")] = "openai loops"
        kept.remove("openai async loop")
    return ", ".join(kept)


def count(record: Record, trials: Iterable[Trial], program: Program, *, before: bool) -> tuple[int, int]:
    judge = record.before if before else record.after
    verdicts = [judge(trial, program) for trial in trials if trial.applies(program)]
    return verdicts.count("right"), len(verdicts)


def document(results: Results) -> str:
    """docs/clients.md."""
    record = Record(results)
    trials = all_trials()
    total = [
        count(record, trials, program, before=before)
        for before in (True, False)
        for program in record.programs
    ]
    half = len(total) // 2
    runs = sum(n for _, n in total[:half])
    raw, cured = sum(n for n, _ in total[:half]), sum(n for n, _ in total[half:])
    lines = [
        "# Clients, before and after",
        "",
        "<!-- Generated by `python -m tests.clients.table -o docs/clients.md`; do not edit. -->",
        "",
        INTRODUCTION,
        "",
        f"**{raw} of {runs} right before, {cured} of {runs} after.**",
        "",
        WORDS,
        "",
        "## By client",
        "",
        "| client | version | answers | right before | right after |",
        "|---|---|---|---|---|",
    ]
    for program in record.programs:
        answers = "streamed" if program.stream else "whole"
        (before, of), (after, _) = (
            count(record, trials, program, before=True),
            count(record, trials, program, before=False),
        )
        made = results[program.id]["version"]
        lines.append(f"| {program.client} | {made} | {answers} | {before} of {of} | {after} of {of} |")
    lines += [
        "",
        "Most faults are of streams, so programs that take whole answers meet fewer.",
        "",
        "## By gateway",
        "",
        "Each kind of gateway without a fault, its calls parsed by it, or left as text.",
        "",
        "| gateway | calls | before | after |",
        "|---|---|---|---|",
    ]
    for trial in gateway.kinds():
        mode = "parsed" if trial.calls == "native" else "left as text"
        lines.append(
            f"| {KINDS[trial.kind].title} | {mode} | {told(record, trial, before=True)}"
            f" | {told(record, trial, before=False)} |"
        )
    lines += [
        "",
        "## By fault",
        "",
        f"On the shape of `{gateway.NEUTRAL}`. Faults that need no parsed calls were also tried with calls left"
        " as text, where hardly a program is right before.",
        "",
        "| fault | what the gateway does | before | before, calls left as text | after |",
        "|---|---|---|---|---|",
    ]
    rows: dict[str, list[Trial]] = {}
    for trial in gateway.faults():
        assert trial.fault is not None
        rows.setdefault(trial.fault.name, []).append(trial)
    for name, group in rows.items():
        fault = group[0].fault
        assert fault is not None
        parsed = next((trial for trial in group if trial.calls != "text"), None)
        text = next((trial for trial in group if trial.calls == "text"), None)
        first = told(record, parsed, before=True) if parsed else ""
        second = counted(record, text) if text and parsed else told(record, text, before=True) if text else ""
        after = {told(record, trial, before=False) for trial in group}
        lines.append(f"| `{name}` | {fault.text} | {first} | {second} | {'; '.join(sorted(after))} |")
    drops = sorted({program.client for program in record.programs if program.closes_cut_calls})
    lines += [
        "",
        "## Where a cure needs a word",
        "",
        f"- {' and '.join(drops)}, streamed: {DROPS}",
        '- `destroyed-call`: the server has lost the call, so it must be asked otherwise: `upstream="text"`'
        " (`--upstream-mode text`).",
        *(f"- `{fault}` and {client}: {why}." for (client, fault), why in BEYOND.items()),
        "- Faults that are not here: "
        + "; ".join(f"`{name}` ({why})" for name, why in gateway.LEFT_OUT.items())
        + ".",
        "",
        *llamacpp(),
    ]
    return "\n".join(lines)


def llamacpp() -> list[str]:
    """What the tests with a real llama.cpp server show."""
    from tests.clients.llamacpp.cases import CASES

    raw = {
        "right": "right",
        "no call": "lost: the call stays text",
        "error": "error",
        "wrong": "wrong: the grammar forces a call that the model did not write, or the server gives up",
    }
    lines = [
        "## A real llama.cpp server",
        "",
        LLAMACPP,
        "",
        "| the model writes | server | before | cure |",
        "|---|---|---|---|",
    ]
    for case in CASES:
        options = " ".join(case.server) or "as it is"
        cure = ", ".join(f'`{key}="{value}"`' for key, value in case.cure.items()) or "no options"
        lines.append(f"| {case.id} | {options} | {raw[case.raw]} | {cure} |")
    lines += [
        "",
        LLAMACPP_TEXT,
        "",
    ]
    return lines


def counted(record: Record, trial: Trial) -> str:
    """How many are right before."""
    programs = record.meeting(trial)
    right = sum(record.before(trial, program) == "right" for program in programs)
    return f"{right or 'none'} of {len(programs)} right"


def main() -> None:
    arguments = argparse.ArgumentParser()
    arguments.add_argument("-o", "--output", type=Path, default=DOCUMENT)
    arguments.add_argument("--jobs", type=int, default=2)
    arguments.add_argument(
        "--only", action="append", default=[], help="only programs whose name has this word"
    )
    arguments.add_argument("--write", action="store_true", help="run nothing: only write the document")
    arguments.add_argument("--measure", nargs="*", help=argparse.SUPPRESS)
    given = arguments.parse_args()
    if given.measure is not None:
        json.dump(measure([program for program in PROGRAMS if program.id in given.measure]), sys.stdout)
        return
    results = recorded() if RESULTS.exists() else {}
    if not given.write:
        programs = [
            program
            for program in PROGRAMS
            if not (program.missing or program.prepare())
            and (not given.only or any(word in program.id for word in given.only))
        ]
        results.update(measure_in(given.jobs, programs))
        RESULTS.write_text(json.dumps(results, indent=1, sort_keys=True) + "\n", encoding="utf-8")
    given.output.write_text(document(results), encoding="utf-8")


if __name__ == "__main__":
    main()
