"""`python -m bench.ratios`: what a chunk costs, in multiples of what it must cost at least.

Theory. CPU time, garbage collection off, the least of several runs (whatever else the machine does only adds).
Floors are measured beside each workload, with the same chunks. A growth exponent compares two sizes, each
relative to its floor where there is one: 1 is linear. Nothing here fails: the figures are for reading.
"""

from __future__ import annotations

import argparse
import gc
import json
import math
import os
import pickle
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import hamr_parsers as hp

from . import workloads

ROOT = Path(__file__).resolve().parents[1]


def cpu(run: Callable[[], object], times: int) -> float:
    """The least CPU seconds of so many runs."""
    best = math.inf
    gc.collect()
    gc.disable()
    try:
        for _ in range(times):
            started = time.process_time()
            run()
            best = min(best, time.process_time() - started)
    finally:
        gc.enable()
    return best


def stream(make: Callable[[], Any], parts: list[str]) -> Callable[[], object]:
    """Feeding the parts to a new parser, and closing it."""

    def run() -> None:
        parser = make()
        feed = parser.feed
        for part in parts:
            feed(part)
        parser.close()

    return run


def per_chunk(make: Callable[[], Any], parts: list[str], times: int) -> float:
    """Microseconds a chunk."""
    return cpu(stream(make, parts), times) / len(parts) * 1e6


def repeats(parts: list[str], quick: bool) -> int:
    """So often that a workload takes about a second (a tenth if quick)."""
    return max(1, min(40, int((150_000 if quick else 1_000_000) / len(parts))))


def chunk_costs(families: list[str], quick: bool) -> None:
    print(f"CPU per chunk of {workloads.CHUNK} characters\n")
    print(f"{'':14}{'workload':20}{'us':>8}{'/floor':>8}{'/append':>9}{'deltas':>8}")
    for family in families:
        make = workloads.maker(family)
        ratios: dict[str, float] = {}
        for name, text in workloads.texts(family, 1_000_000 if quick else 10_000_000).items():
            parts = workloads.chunks(text)
            times = repeats(parts, quick)
            cost = per_chunk(make, parts, times)
            floor = per_chunk(workloads.Floor, parts, times)
            append = per_chunk(workloads.Append, parts, times)
            ratios[name] = cost / floor
            deltas = _deltas(make(), parts[:25_000]) / min(len(parts), 25_000)
            print(
                f"{family:14}{name:20}{cost:8.2f}{cost / floor:8.1f}{cost / append:9.1f}{deltas:8.2f}",
                flush=True,
            )
        growth = math.log(ratios["string 10 MB"] / ratios["string 100 KB"]) / math.log(10 if quick else 100)
        print(
            f"{family:14}exponent of a string argument, 100 KB to {1 if quick else 10} MB: {1 + growth:.3f}\n"
        )


def _deltas(parser: Any, parts: list[str]) -> int:
    return sum(event.type.endswith("_delta") for part in parts for event in parser.feed(part))


def one_shot(families: list[str], quick: bool) -> None:
    size = 100_000 if quick else 1_000_000
    string = {"path": "a.txt", "content": workloads.repeat(workloads.PLAIN, size)}
    code = {"path": "a.py", "content": workloads.repeat(workloads.CODE, size)}
    tree = workloads.nested(size)
    times = 20 if quick else 10
    print(f"One-shot, {size // 1000} KB: MB/s, and the share of json.loads on the same arguments\n")
    print(f"{'':14}{'prose':>14}{'string':>14}{'code':>14}{'nested':>14}")
    kinds = {"string": string, "code": code, "nested": tree}
    written = {kind: json.dumps(value) for kind, value in kinds.items()}
    loads = {kind: cpu(partial(json.loads, text), times) for kind, text in written.items()}
    shown = "".join(f"{len(text) / loads[kind] / 1e6:14.0f}" for kind, text in written.items())
    print(f"{'json.loads':14}{'':14}{shown}")
    tools = hp.ToolSet(workloads.TOOLS)
    for family in families:
        cells = []
        for kind in ("prose", *kinds):
            args = kinds.get(kind)
            text = (
                workloads.call(family, ("write_file", args))
                if args
                else workloads.repeat(workloads.PROSE, size)
            )
            seconds = cpu(partial(hp.parse, text, parser=family, tools=tools), times)
            share = f" ({loads[kind] / seconds:.2f})" if args else ""
            cells.append(f"{f'{len(text) / seconds / 1e6:.0f}{share}':>14}")
        print(f"{family:14}{''.join(cells)}", flush=True)
    print()


def start_up(families: list[str], quick: bool) -> None:
    print("Start\n")
    count = 2_000
    for family in families:
        make = workloads.maker(family)
        make()
        seconds = cpu(partial(_many, make, count), 3) / count
        print(f"{family:14}a new parser with a ToolSet: {seconds * 1e6:.1f} us")
    code = "import time; t = time.perf_counter(); import hamr_parsers; print(time.perf_counter() - t)"
    took = min(float(_python(code)) for _ in range(3 if quick else 9))
    print(f"{'import':14}{took * 1000:.0f} ms")
    for family in families:
        code = (
            "import hamr_parsers as hp, time; t = time.perf_counter()\n"
            f"hp.StreamParser(parser={family!r}); print(time.perf_counter() - t)"
        )
        print(
            f"{family:14}the first parser of a process: {min(float(_python(code)) for _ in range(3)) * 1000:.0f} ms"
        )
    print()


def _many(make: Callable[[], Any], count: int) -> list[Any]:
    return [make() for _ in range(count)]


def _python(code: str) -> str:
    path = os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "PYTHONPATH": path},
    )
    return done.stdout.strip()


MEMORY = """
import pickle, resource
from bench import workloads
make = workloads.maker({family!r}, collect=False)
texts = {{
    "prose": workloads.repeat(workloads.PROSE, 1 << 16),
    "calls": workloads.call({family!r}, ("write_file", {{"path": "x" * 1000}})) + "\\n",
    "string": workloads.repeat(workloads.PLAIN, 1 << 16),
}}
text = texts[{kind!r}]
parser = make()
if {kind!r} == "string":
    parser.feed(workloads.call({family!r}, ("write_file", {{"path": "@@@@"}})).partition("@@@@")[0])
parts = workloads.chunks(text, 64)
out = []
read = 0
for goal in ({small}, {large}):
    while read < goal:
        for part in parts:
            parser.feed(part)
        read += len(text)
    out += [resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, len(pickle.dumps(parser))]
print(*out)
"""


def memory(families: list[str], quick: bool) -> None:
    small, large = (2_000_000, 10_000_000) if quick else (10_000_000, 100_000_000)
    print(
        f"Memory with collect=False: peak after {small // 10**6} and {large // 10**6} MB, and the parser's state\n"
    )
    for family in families:
        for kind in ("prose", "string", "calls"):
            told = _python(MEMORY.format(family=family, kind=kind, small=small, large=large))
            rss1, state1, rss2, state2 = map(int, told.split())
            print(
                f"{family:14}{kind:10}{rss1 / 1024:7.1f} -> {rss2 / 1024:7.1f} MiB,"
                f" state {state1} -> {state2} bytes",
                flush=True,
            )
    print()


def hostile(families: list[str], quick: bool) -> None:
    small = 4_000 if quick else 16_000
    large = small * 8
    print(
        f"Hostile text, {small // 1000} and {large // 1000} KB: us a character, growth exponent (whole | chunks of 4)\n"
    )
    for family in families:
        make = workloads.maker(family)
        little, much = workloads.hostile(family, small), workloads.hostile(family, large)
        for name in little:
            cells = []
            for size in (None, workloads.CHUNK):
                seconds = []
                for text in (little[name], much[name]):
                    parts = workloads.chunks(text, size or len(text))
                    seconds.append(cpu(stream(make, parts), 2 if len(text) > small * 2 else 4))
                growth = math.log(seconds[1] / seconds[0]) / math.log(len(much[name]) / len(little[name]))
                cells.append(f"{seconds[1] / len(much[name]) * 1e6:8.3f} {growth:5.2f}")
            print(f"{family:14}{name:24}{' |'.join(cells)}", flush=True)
        print()


def main() -> int:
    """Measure what was asked for and print it."""
    parts: dict[str, Callable[[list[str], bool], None]] = {
        "chunks": chunk_costs,
        "oneshot": one_shot,
        "start": start_up,
        "memory": memory,
        "hostile": hostile,
    }
    parser = argparse.ArgumentParser(prog="python -m bench.ratios", description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="smaller texts, fewer runs")
    parser.add_argument("--family", action="append", help="only this family (may be repeated)")
    parser.add_argument("--only", action="append", choices=parts, help="only this table (may be repeated)")
    options = parser.parse_args()
    families = options.family or workloads.families()
    print(
        f"hamr-parsers {hp.__version__}, Python {sys.version.split()[0]}, pickle {pickle.DEFAULT_PROTOCOL}\n"
    )
    for name, part in parts.items():
        if not options.only or name in options.only:
            part(families, options.quick)
    return 0


if __name__ == "__main__":
    sys.exit(main())
