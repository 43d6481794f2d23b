"""`python -m tests.planted`: does the fuzzer find each planted defect?

For each patch: a copy of src/ with the defect, and the fuzzer on it until it finds something, at most
`--seconds`. A finding counts only if the same input is no finding in the code without the defect; else the
search goes on behind it, so what is open in the code proves nothing and hides nothing. Exit 1 if a defect was
not found or a patch does not fit.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from .apply import PatchError, apply, title

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
_FIND = re.compile(r"^# (\S+), rule (\w+), input (\d+): (.*)$", re.MULTILINE)


def _fuzz(root: Path, *arguments: object) -> subprocess.CompletedProcess[str]:
    """Run the fuzzer on the code under `root`."""
    path = os.pathsep.join([str(root / "src"), str(ROOT)])
    command = [sys.executable, "-m", "tests.fuzz", *map(str, arguments)]
    environment = {**os.environ, "PYTHONPATH": path, "PYTHONDONTWRITEBYTECODE": "1"}
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)


def _copy(source: Path, target: Path) -> None:
    shutil.copytree(source / "src", target / "src", ignore=shutil.ignore_patterns("__pycache__"))


def _try(patch: Path, clean: Path, options: argparse.Namespace) -> tuple[bool, float, str]:
    """Whether the fuzzer finds the defect, after how many seconds, and what it says."""
    with tempfile.TemporaryDirectory() as directory:
        copy = Path(directory)
        _copy(clean, copy)
        try:
            apply(patch, copy)
        except PatchError as error:
            return False, 0, error.args[0]
        seed = options.seed
        used = 0.0  # what the fuzzer took on the defect; asking the clean code is not counted
        while used < options.seconds:
            started = time.monotonic()
            done = _fuzz(
                copy, "--first", "--shrink", 0, "--seconds", options.seconds - used,
                "--jobs", options.jobs, "--seed", seed, "--time-out", 5,
            )  # fmt: skip
            used += time.monotonic() - started
            find = _FIND.search(done.stdout)
            if find is None:
                return False, used, done.stdout[-1000:] + done.stderr[-1000:]
            family, rule, number, _ = find.groups()
            if rule == "afresh":  # takes more than one input
                again = _fuzz(clean, "--rule", rule, "--first", "--seconds", 10, "--seed", number)
            else:
                again = _fuzz(clean, "--input", number, "--family", family, "--shrink", 0)
            if again.returncode == 0:
                return True, used, find[0]
            print(f"    ({rule} in {family}, input {number}, is open in the code itself)", flush=True)
            seed = int(number) + 1
        return False, used, "all that was found is open in the code itself"


def main() -> int:
    """Try the patches, print a line for each and a total."""
    parser = argparse.ArgumentParser(prog="python -m tests.planted", description=__doc__.splitlines()[0])
    parser.add_argument("patch", nargs="*", help="only patches whose name contains this")
    parser.add_argument("--seconds", type=float, default=60, help="for each patch (default 60)")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    patches = sorted(HERE.glob("*.patch"))
    if options.patch:
        patches = [p for p in patches if any(part in p.stem for part in options.patch)]
    found = 0
    with tempfile.TemporaryDirectory() as directory:
        clean = Path(directory)  # as it is now: somebody may be working on it
        _copy(ROOT, clean)
        for patch in patches:
            yes, seconds, how = _try(patch, clean, options)
            found += yes
            verdict = f"found in {seconds:.0f} s" if yes else f"NOT FOUND in {seconds:.0f} s"
            print(
                f"{patch.stem}: {verdict} ({title(patch)})\n    {how if not yes else how[:160]}", flush=True
            )
    print(f"{found} of {len(patches)} planted defects found")
    return 0 if patches and found == len(patches) else 1


if __name__ == "__main__":
    sys.exit(main())
