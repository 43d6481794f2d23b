"""Run the judges that lie beside the repository, and hold their scores to `tests/score_floor.json`.

usage: judges.py SHARED [--update]

`score.py` runs once for each corpus and way of chunking; a family whose ratio is below its committed floor (1 where it
is not listed) fails, `--update` writes what is reached now. As `auto`, at least 97 % of the templates' records with
calls must hold. `invariance.py`, `prompt.py` and `cut.py` allow no exception; selection by name must be right in 98 %,
by template and by alias always.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

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
    floor = json.loads(FLOOR.read_text(encoding="utf-8")) if FLOOR.exists() else {}
    reached: dict[str, dict[str, dict[str, float]]] = {}
    failed = False
    files = [str(corpora / corpus) for corpus in CORPORA]
    strict = (
        ("invariance", SECONDS["invariance"], *files),
        ("prompt", MAX_HELD, *files),
        ("cut", SECONDS["cut"], *files),
        ("names", "0.98", str(corpora / "model_names.tsv")),
        ("templates", "1", str(corpora / "templates")),
        ("aliases", str(corpora / "aliases.tsv")),
        ("score", "--as", "auto", "--calls-only", "--no-opinion", "--min", "0.97", files[0]),
    )

    with ThreadPoolExecutor(2) as pool:
        jobs = [(corpus, chunk) for corpus in CORPORA for chunk in CHUNKS]
        scores = pool.map(
            lambda job: run(
                tools, "score", "--no-opinion", "--chunk", job[1], "--min", "0", "--show", "99", str(corpora / job[0])
            ),
            jobs,
        )  # fmt: skip
        for (corpus, chunk), (_, said) in zip(jobs, scores, strict=True):
            worst = re.search(r"^worst: (.*)$", said, re.MULTILINE)
            total = re.search(r"^\d+/\d+ = .*$", said, re.MULTILINE)
            if worst is None or total is None:
                print(f"FAILED score {corpus} {chunk}:\n{said}")
                failed = True
                continue
            below = []
            for family, hold, of in re.findall(r"(\S+) (\d+)/(\d+)", worst[1]):
                ratio = int(10_000 * int(hold) / int(of)) / 10_000
                reached.setdefault(corpus, {}).setdefault(chunk, {})[family] = ratio
                if ratio < floor.get(corpus, {}).get(chunk, {}).get(family, 1.0) and not update:
                    below.append(family)
            failed = failed or bool(below)
            print(f"{'FAILED' if below else 'ok    '} score {corpus} {chunk}: {total[0]}; {worst[0]}")
            if below:
                print(f"below their floor: {', '.join(below)}\n{said}")

        for (name, *_), (content, said) in zip(
            strict, pool.map(lambda args: run(tools, *args), strict), strict=True
        ):
            failed = failed or not content
            print(
                f"{'ok    ' if content else 'FAILED'} {name}: {said if not content else said.splitlines()[-1]}"
            )

    if update:
        FLOOR.write_text(json.dumps(reached, indent=2) + "\n", encoding="utf-8")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
