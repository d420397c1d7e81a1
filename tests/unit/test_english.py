"""Words and phrases that do not belong in technical English, with their replacements."""

from __future__ import annotations

import re
import subprocess
from functools import cache
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).parents[2]
THIS_FILE = Path(__file__).relative_to(ROOT).as_posix()
# Written by others, recorded from the API, or binary.
NOT_SEARCHED = ("LICENSE", "requirements/", "tests/golden/", "tests/fuzz/corpus/", "docs/images/")
CODE = ("exporter/", "tools/", "benchmarks/", "dashboards/", "deploy/", "Makefile")
TEXTS = (*CODE, "docs/", "README.md", "CHANGELOG.md", "CONTRIBUTING.md")


class Word(NamedTuple):
    """`pattern`: a regular expression, matched as whole words in any case. `paths`: the prefixes to search; empty: all
    files. `exceptions`: part of an allowed line, and the reason."""

    pattern: str
    replacement: str
    paths: tuple[str, ...] = ()
    exceptions: tuple[tuple[str, str], ...] = ()


WORDS = (
    Word("mend(s|ed|ing)?", "fix; a message has a hint"),
    Word("story|stories", "scenario, timeline"),
    Word("in_words|, in words", "long form, description, as text"),
    Word("again and again", "repeatedly; crash looping; flapping"),
    Word("for long", "the duration: for 15 minutes"),
    Word("for ever", "indefinitely"),
    Word("whoever", "clients that, anyone who"),
    Word("told|untold", "logged, reported, suppressed"),
    Word("said", "reported, output, expected"),
    Word("tells", "shows, describes, distinguishes"),
    Word("speaks?", "supports, uses", TEXTS),
    Word("on (its|their) way", "in progress, in flight"),
    Word("under way", "in progress, in flight", TEXTS),
    Word("turned away", "refused", CODE),
    Word("doorkeeper", "access middleware"),
    Word("stir(s|red)?", "request a render"),
    Word("known of", "no current data, not monitored", TEXTS),
    Word("nobody", "no one, no client", CODE),
    Word("the one before", "the previous one", CODE),
    Word("afresh|anew", "again"),
    Word("in seconds since 1970", "Unix timestamp", ("exporter/metrics/", "exporter/self_metrics.py")),
    Word("as of the last poll", "nothing: true of every metric", ("exporter/metrics/",)),
)
# Constants are named for what they hold, with the unit: ACCEPT_RETRY_DELAY, LOG_INTERVAL, MAX_CACHED_STRINGS.
CONSTANT = re.compile(r"^(BREATH|QUIET|REST|ASKED|LARGE|LONG|PATIENCE|GRACE|PACE|MOST_\w+)\b.* = ", re.MULTILINE)


@cache
def lines() -> list[tuple[str, int, str]]:
    """(path, number, line) of all tracked text files."""
    command = ["git", "ls-files"]
    paths = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout.splitlines()
    found = []
    for path in paths:
        if path == THIS_FILE or path.startswith(NOT_SEARCHED) or not (ROOT / path).is_file():
            continue
        text = (ROOT / path).read_text(encoding="utf-8", errors="replace")
        found += [(path, number, line) for number, line in enumerate(text.splitlines(), 1)]
    return found


def matches(word: Word) -> list[str]:
    pattern = re.compile(rf"\b({word.pattern})\b", re.IGNORECASE)
    return [
        f"{path}:{number}: {line.strip()}"
        for path, number, line in lines()
        if pattern.search(line)
        and path.startswith(word.paths or "")
        and not any(allowed in line for allowed, _ in word.exceptions)
    ]


@pytest.mark.parametrize("word", WORDS, ids=lambda word: word.pattern)
def test_a_word_does_not_occur(word: Word) -> None:
    assert matches(word) == [], f"write: {word.replacement}"


def test_constants_are_named_for_what_they_hold() -> None:
    code = [each for each in lines() if each[0].endswith(".py") and each[0].startswith(CODE)]
    assert [each for each in code if CONSTANT.search(each[2])] == []


def test_every_exception_is_used() -> None:
    allowed = [text for word in WORDS for text, _ in word.exceptions]
    assert [text for text in allowed if not any(text in line for _, _, line in lines())] == []


def test_a_word_is_found() -> None:
    """The search itself: this project's tests have functions."""
    assert len(matches(Word("def", "", ("tests/unit/test_properties.py",)))) > 0
