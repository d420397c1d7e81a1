"""Mutation testing of the core: `make mutants`. mutmut runs the fast tests on each mutant; surviving mutants are
tested with all tests of the package here, in a new process, because mutants of import-time code only work there."""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from fnmatch import fnmatch
from pathlib import Path

FOLDER = Path("mutants")
RETESTED = FOLDER / "retested.json"
GOAL = 0.85  # minimum ratio of killed mutants per package
SURVIVED, NO_TESTS = 0, 33  # mutmut's exit codes; None: not run
TESTS = {
    "exporter.state": ["tests/unit/state"],
    "exporter.metrics": ["tests/unit/metrics"],
    "exporter.polling": ["tests/unit/polling"],
    "exporter.api": ["tests/unit/api/test_models.py"],
}
TEST_TIMEOUT = 300  # s; a longer test run counts as a failure


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("only", nargs="?", default="*", help="retest mutants of this name; * stands for anything")
    only = parser.parse_args().only
    retested = json.loads(RETESTED.read_text()) if RETESTED.exists() else {}
    exit_codes = dict(results())
    for name, code in exit_codes.items():
        if code in {SURVIVED, NO_TESTS} and name not in retested and fnmatch(name, only):
            retested[name] = is_noticed(name)
            RETESTED.write_text(json.dumps(retested))
    total: Counter[str] = Counter()
    noticed: Counter[str] = Counter()
    for name, code in exit_codes.items():
        if code is not None:
            total[package(name)] += 1
            noticed[package(name)] += code not in {SURVIVED, NO_TESTS} or retested.get(name, False)
    for each, number in total.items():
        sys.stdout.write(f"{each:17} {noticed[each]:5} of {number:5} noticed, {noticed[each] / number:.1%}\n")
    return int(any(noticed[each] < GOAL * number for each, number in total.items()))


def results() -> Iterator[tuple[str, int | None]]:
    """(mutant, exit code of its tests)."""
    for file in sorted(FOLDER.glob("exporter/**/*.meta")):
        yield from json.loads(file.read_text())["exit_code_by_key"].items()


def is_noticed(name: str) -> bool:
    command = [sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:xdist", "-p", "no:cacheprovider", "--rootdir=."]
    environment = {**os.environ, "MUTANT_UNDER_TEST": name, "PYTHONPATH": "."}
    try:
        done = subprocess.run(  # noqa: S603 - our own tests
            [*command, *TESTS[package(name)]],
            check=False,
            cwd=FOLDER,
            env=environment,
            capture_output=True,
            timeout=TEST_TIMEOUT,
        )
    except subprocess.TimeoutExpired:
        return True
    sys.stdout.write(f"{'noticed ' if done.returncode else 'survived'} {name}\n")
    sys.stdout.flush()
    return done.returncode != 0


def package(name: str) -> str:
    return ".".join(name.split(".")[:2])


if __name__ == "__main__":
    sys.exit(main())
