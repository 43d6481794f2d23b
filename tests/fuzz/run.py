"""`python -m tests.fuzz`: a long run of the fuzzer over the registered families.

Theory. Each job is a process with its own seeds (job j of n takes the inputs j, j + n, ...), so a run is
repeatable and `--seed` continues elsewhere. What a text means must not depend on what the process parsed before
it, either: from time to time a new process parses the latest inputs in reverse order and must get the same (rule
`afresh`; it takes many inputs, so it is here and not in check.py). A finding is shrunk where it was found and
printed as a test to paste; one for each rule and family, since the rest is mostly the same defect again. Exit 1
if anything was found.
"""

from __future__ import annotations

import argparse
import hashlib
import multiprocessing
import queue
import sys
import time
from collections import Counter
from typing import Any

from . import blocks
from .case import Case, any_case
from .check import RULES, Finding, Hang, Run, check, check_streams, plain_events, time_out
from .draw import RandomDraw
from .shrink import shrink

LONG = 4_000
"""Cases whose text is longer are not printed."""

AFRESH = "afresh"
BATCH = 100
"""Inputs after which a new process parses them again; doubled each time, up to 20 times as many."""

STREAMING = 16
"""One input of so many is preceded by a text that must stream."""


def case_number(family: str, seed: int) -> Case:
    """The case that a family gets for a seed."""
    return any_case(RandomDraw(f"{family} {seed}"), family)


def check_streaming_number(family: str, seed: int) -> None:
    """Feed a plain text for a seed where it must stream: as content, in a string value, in reasoning."""
    draw = RandomDraw(f"streaming {family} {seed}")
    openings = blocks.openings(family)
    if openings and draw.chance(50):
        before, record = draw.pick(openings)
        options = {} if record["thinking"] is None else {"starts_in_reasoning": record["thinking"]}
        check_streams(family, " " + blocks.plain_text(draw, 60), before, tools=record["tools"], **options)
    else:
        check_streams(family, blocks.nearly_plain_text(draw, blocks.vocabulary(family), 60))


def _check_number(family: str, seed: int, options: argparse.Namespace) -> int:
    """Check what a family gets for a seed; returns how long its text is."""
    rules = options.rule or None
    if seed % STREAMING == 0 and (rules is None or "prompt" in rules):
        check_streaming_number(family, seed)
    case = case_number(family, seed)
    check(case, rules, seconds=options.time_out)
    return len(case.text)


def _digest(family: str, seed: int) -> str:
    """What the whole text of an input gives, in short."""
    case = case_number(family, seed)
    try:
        with time_out(20):
            events = plain_events(Run(case, case.cut_at(())).events, case.text)
    except (Exception, Hang) as error:
        return type(error).__name__
    return hashlib.blake2b(repr(events).encode("utf-8", "surrogatepass"), digest_size=8).hexdigest()


def _digests_afresh(inputs: list[tuple[str, int]], out: Any) -> None:
    out.send([_digest(*each) for each in reversed(inputs)][::-1])


def _afresh(told: dict[tuple[str, int], str]) -> tuple[str, int] | None:
    """The first of these inputs of which a new process, in reverse order, tells something else."""
    context = multiprocessing.get_context("spawn")
    receiver, sender = context.Pipe(duplex=False)
    child = context.Process(target=_digests_afresh, args=(list(told), sender), daemon=True)
    child.start()
    sender.close()
    try:
        again = receiver.recv()
    except EOFError:
        return None  # it could not be started
    finally:
        child.join()
    return next((each for each, digest in zip(told, again, strict=True) if told[each] != digest), None)


def _job(number: int, options: argparse.Namespace, names: list[str], out: Any) -> None:
    end = time.monotonic() + options.seconds
    reported: set[tuple[str, str]] = set()
    inputs = characters = 0
    last = time.monotonic()
    seed = options.seed + number
    told: dict[tuple[str, int], str] = {}
    batch = BATCH

    def report(finding: Finding, family: str, seed: int) -> None:
        key = (finding.rule, family)
        again = key in reported
        reported.add(key)
        if not again and finding.case is not None and finding.rule != AFRESH:
            left = max(2.0, min(options.shrink, end + options.shrink - time.monotonic()))
            finding = shrink(finding, seconds=left)
        shown = repr(finding.case or "...")
        out.put(("finding", family, finding.rule, finding.detail, shown, seed, again))

    while time.monotonic() < end:
        for family in names:
            inputs += 1
            try:
                characters += _check_number(family, seed, options)
            except Finding as finding:
                characters += len(finding.case.text) if finding.case is not None else 0
                report(finding, family, seed)
                if options.first:
                    return
            else:
                told[family, seed] = _digest(family, seed)
            if time.monotonic() > end:
                break
        if len(told) >= batch:
            batch = min(2 * batch, 20 * BATCH)
            other = _afresh(told) if not options.rule or AFRESH in options.rule else None
            told.clear()
            if other is not None:
                detail = "parsed by a new process, in another order, it means something else"
                report(Finding(AFRESH, detail, case_number(*other)), *other)
                if options.first:
                    return
        seed += options.jobs
        if time.monotonic() - last > 1:
            last = time.monotonic()
            out.put(("count", inputs, characters))
            inputs = characters = 0
    out.put(("count", inputs, characters))


def _shown(case: str, seed: int) -> str:
    if len(case) > LONG:
        return f"# a long text; make it smaller with --input {seed} --shrink 600"
    return f"check({case})"


def _one(options: argparse.Namespace, names: list[str]) -> int:
    """Check one input again."""
    found = 0
    for family in names:
        try:
            _check_number(family, options.input, options)
        except Finding as finding:
            found = 1
            if finding.case is not None:
                finding = shrink(finding, seconds=options.shrink)
            print(f"# {family}, rule {finding.rule}: {finding.detail}\ncheck({finding.case or '...'!r})")
    return found


def main() -> int:
    """Run the jobs, print what they find."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description="Fuzz the registered families.")
    parser.add_argument("--seconds", type=float, default=60, help="how long (default 60)")
    parser.add_argument("--jobs", type=int, default=2, help="processes (default 2)")
    parser.add_argument("--family", action="append", help="only this family (may be repeated; `auto` too)")
    parser.add_argument(
        "--rule", action="append", choices=[*RULES, AFRESH], help="only this rule (may be repeated)"
    )
    parser.add_argument("--seed", type=int, default=0, help="number of the first input (default 0)")
    parser.add_argument(
        "--input", type=int, help="only this input (the number that a finding was printed with)"
    )
    parser.add_argument("--time-out", type=float, default=20, help="CPU seconds that one input may take")
    parser.add_argument("--shrink", type=float, default=20, help="seconds for making a finding small")
    parser.add_argument("--first", action="store_true", help="stop at the first finding")
    options = parser.parse_args()
    names = options.family or [*blocks.families(), "auto"]
    if options.input is not None:
        return _one(options, names)
    started = time.monotonic()
    # spawn, not fork: each job imports the package anew, as a user's process does
    context = multiprocessing.get_context("spawn")
    out: Any = context.Queue()
    jobs = [context.Process(target=_job, args=(i, options, names, out)) for i in range(options.jobs)]
    for job in jobs:
        job.start()
    inputs = characters = 0
    found: Counter[tuple[str, str]] = Counter()
    told = started
    while True:
        alive = any(job.is_alive() for job in jobs)
        try:
            item = out.get(timeout=0.5)
        except queue.Empty:
            if not alive:
                break
            continue
        if item[0] == "count":
            inputs += item[1]
            characters += item[2]
        else:
            _, family, rule, detail, case, seed, again = item
            first = not found[rule, family]
            found[rule, family] += 1
            if not again and first:
                print(
                    f"\n# {family}, rule {rule}, input {seed}: {detail}\n{_shown(case, seed)}\n", flush=True
                )
            if options.first:
                for job in jobs:
                    job.terminate()
                break
        if time.monotonic() - told > 30:
            told = time.monotonic()
            seconds = told - started
            print(
                f"{seconds:.0f} s: {inputs} inputs, {inputs / seconds:.0f}/s, {found.total()} finds",
                file=sys.stderr,
            )
    for job in jobs:
        job.join()
    seconds = time.monotonic() - started
    print(
        f"{inputs} inputs ({characters} characters) of {len(names)} families in {seconds:.0f} s, {options.jobs} jobs: "
        f"{inputs / seconds:.0f} inputs/s, {found.total()} finds"
    )
    for (rule, family), count in sorted(found.items()):
        print(f"    {count} x {rule} in {family}")
    crashed = [job.exitcode for job in jobs if job.exitcode and not options.first]
    if crashed:
        print(f"jobs ended with {crashed}", file=sys.stderr)
    return 1 if found or crashed or not inputs and not options.first else 0
