"""Regular expressions end, whatever they are and whatever they meet."""

from __future__ import annotations

import time

import pytest

from exporter.patterns import compiled, matches


@pytest.mark.parametrize("pattern", ["(a+)+-prod", "(a|aa)+-prod", "(.*)*-prod", "(a?){30}a{30}-prod"])
def test_no_pattern_hangs(pattern: str) -> None:
    began = time.process_time()
    assert not matches(pattern, "a" * 5000 + "-prox")
    assert time.process_time() - began < 1


@pytest.mark.parametrize(
    ("pattern", "name", "matched"),
    [
        ("prod-.*", "prod-a", True),
        ("prod-.*", "a-prod-a", False),
        ("prod", "prod-a", False),
        ("(?i)PROD-é", "prod-É", True),
    ],
)
def test_the_whole_name_must_match(pattern: str, name: str, matched: bool) -> None:
    assert matches(pattern, name) == matched


@pytest.mark.parametrize("pattern", ["[", "(?!x)", "\\1", "a{1,100000}", "((a{1,100}){1,100}){1,100}", "*"])
def test_what_re2_refuses_is_refused_with_its_reason(pattern: str, capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(ValueError, match=r"^is not a regular expression: .*; write it in RE2 syntax"):
        compiled(pattern)
    assert capfd.readouterr().err == ""
