"""Arbitrary JSON, and real answers with anything exchanged in them: the page keeps its promises."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.examples import examples
from tests.fuzz.promises import keeps_its_promises
from tests.hostile import WELL

CORPUS = sorted((Path(__file__).parents[1] / "fuzz" / "corpus").iterdir())
FIELDS = sorted({*WELL, *WELL["replica_events"]["r-0"], "data", "id", "name", "value", "version", "r-0", "x"})
STATUSES = ("Ready", "Failed", "Running", "Completed", "Brand New")
STRANGE = ("", "\0", "\ud800", "\u202e", '"', "\\", "\n", "\r", "\x85", "x" * 3000, "TOGETHER_DEPLOYMENT_REVISION_ID")
TIMES = ("2026-04-01T00:00:00Z", "0001-01-01T00:00:00Z", "9999-12-31T23:59:59+14:00", "0000-00-00", "2026-04-01")

text = st.one_of(st.sampled_from((*STATUSES, *STRANGE, *TIMES)), st.text(st.characters(), max_size=20))
number = st.one_of(st.integers(), st.floats(), st.sampled_from((10**400, 2**63, -(2**63), -0.0, 1e308)))
scalar = st.one_of(st.none(), st.booleans(), number, text)
key = st.one_of(st.sampled_from(FIELDS), text)


def containers(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.one_of(st.lists(inner, max_size=6), st.dictionaries(key, inner, max_size=8))


anything = st.recursive(scalar, containers, max_leaves=30)


@st.composite
def mutated(draw: st.DrawFn) -> Any:
    """A real answer in which some values are others, gone, or there twice."""
    answer = json.loads(json.dumps({"id": "dep", "name": "x", **WELL}))
    for _ in range(draw(st.integers(1, 5))):
        place = answer
        while True:
            step = draw(st.sampled_from(sorted(place) if isinstance(place, dict) else range(len(place))))
            inner = place[step]
            if not isinstance(inner, dict | list) or not inner or draw(st.booleans()):
                break
            place = inner
        place[step] = draw(st.one_of(anything, st.just([inner] * 7)))
        if isinstance(place, dict):
            place[draw(key)] = draw(st.one_of(anything, st.just(inner)))
    return answer


def encoded(value: Any) -> bytes:
    """As JSON, with everything that Python's own writer allows: NaN, lone surrogates, numbers without end."""
    return json.dumps(value, default=str).encode("utf-8", "surrogatepass")


thorough = settings(
    max_examples=examples(50),
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow],
    database=None,
)


@thorough
@given(anything)
def test_any_json(value: Any) -> None:
    keeps_its_promises(encoded(value))


@thorough
@given(mutated())
def test_any_mutation_of_a_real_answer(value: Any) -> None:
    keeps_its_promises(encoded(value))


@thorough
@given(st.lists(st.one_of(mutated(), anything), max_size=8))
def test_any_list(values: list[Any]) -> None:
    keeps_its_promises(encoded({"data": values}))


@thorough
@given(st.binary(max_size=200))
def test_any_bytes(body: bytes) -> None:
    keeps_its_promises(body)


@pytest.mark.parametrize("file", CORPUS, ids=lambda file: file.name)
def test_what_the_fuzzer_has_found_interesting(file: Path) -> None:
    keeps_its_promises(file.read_bytes())
