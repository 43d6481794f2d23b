"""Run the judges that lie beside the repository, and hold their scores to `tests/score_floor.json`.

usage: judges.py SHARED [--update]

`score.py` runs for each family, corpus and way of chunking; a ratio below the committed floor fails, `--update`
writes what is reached now. `invariance.py`, `prompt.py` and `cut.py` allow no exception. Selection is only
reported: names and templates of families that are not registered yet cannot come out right.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import hamr_parsers as hp

FLOOR = Path(__file__).parent.parent / "tests" / "score_floor.json"
CHUNKS = ("one", "rand", "given")
CORPORA = ("templates.jsonl", "vectors.jsonl")
SECONDS = {"invariance": "30", "cut": "20"}
MAX_HELD = "64"  # characters


def run(tools: Path, name: str, *args: str) -> tuple[bool, str]:
    """Whether a judge is content, and what it printed."""
    done = subprocess.run(
        [sys.executable, str(tools / f"{name}.py"), *args],
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
    )
    return done.returncode == 0, (done.stdout + done.stderr).strip()


def main() -> int:
    shared, update = Path(sys.argv[1]), "--update" in sys.argv[2:]
    tools, corpora = shared / "tools", shared / "corpora"
    families = sorted(family.id for family in hp.list_families() if family.kind == "grammar")
    floor = json.loads(FLOOR.read_text(encoding="utf-8")) if FLOOR.exists() else {}
    reached: dict[str, dict[str, dict[str, float]]] = {}
    failed = False

    with tempfile.TemporaryDirectory() as folder, ThreadPoolExecutor(2) as pool:
        files = []
        for corpus in CORPORA:  # the judges without --parser see the records of registered families only
            path = Path(folder) / corpus
            lines = (corpora / corpus).read_text(encoding="utf-8").split("\n")
            path.write_text(
                "\n".join(x for x in lines if x and json.loads(x)["parser"] in families) + "\n", "utf-8"
            )
            files.append(str(path))

        jobs = [(corpus, chunk, family) for corpus in CORPORA for chunk in CHUNKS for family in families]
        scores = pool.map(
            lambda job: run(
                tools, "score", "--no-opinion", "--chunk", job[1], "--parser", job[2], "--min", "0", "--show", "9",
                str(Path(folder) / job[0]),
            ),
            jobs,
        )  # fmt: skip
        for (corpus, chunk, family), (_, said) in zip(jobs, scores, strict=True):
            counts = re.search(r"^(\d+)/(\d+) = ", said, re.MULTILINE)
            if counts is None:
                print(f"FAILED score {corpus} {chunk} {family}:\n{said}")
                failed = True
                continue
            hold, of = map(int, counts.groups())
            if of == 0:
                continue
            ratio = int(10_000 * hold / of) / 10_000
            reached.setdefault(corpus, {}).setdefault(chunk, {})[family] = ratio
            least = floor.get(corpus, {}).get(chunk, {}).get(family, 0.0)
            below = ratio < least and not update
            failed = failed or below
            print(
                f"{'FAILED' if below else 'ok    '} score {corpus} {chunk} {family}: {hold}/{of} (floor {least:.4f})"
            )
            if below:
                print(said)

        strict = (
            ("invariance", SECONDS["invariance"], *files),
            ("prompt", MAX_HELD, *files),
            ("cut", SECONDS["cut"], *files),
        )
        for (name, *_), (content, said) in zip(
            strict, pool.map(lambda args: run(tools, *args), strict), strict=True
        ):
            failed = failed or not content
            print(
                f"{'ok    ' if content else 'FAILED'} {name}: {said if not content else said.splitlines()[-1]}"
            )

    selection = (
        ("names", "0", str(corpora / "model_names.tsv")),
        ("templates", "0", str(corpora / "templates")),
        ("aliases", str(corpora / "aliases.tsv")),
    )
    for args in selection:
        print(f"note   {args[0]}: {run(tools, *args)[1].splitlines()[-1]}")
    if update:
        FLOOR.write_text(json.dumps(reached, indent=2) + "\n", encoding="utf-8")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
