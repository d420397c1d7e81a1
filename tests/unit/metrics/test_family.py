from __future__ import annotations

from typing import Any

import pytest

from exporter.metrics.family import Family, current, each, info, labelled, state, unique, value


def family(name: str, **more: Any) -> Family[Any]:
    return Family(name, "Help.", value(lambda x: x), **more)


@pytest.mark.parametrize(
    ("name", "unit"),
    [
        ("together_a_timestamp_seconds", "seconds"),
        ("together_a_seconds_total", "seconds"),
        ("together_a_bytes", "bytes"),
        ("together_a_cores", "cores"),
        ("together_replicas", None),
        ("together_seconds_left", None),
        ("seconds", "seconds"),
    ],
)
def test_the_unit_is_what_the_name_ends_with(name: str, unit: str | None) -> None:
    assert family(name).unit == unit


@pytest.mark.parametrize(("number", "samples"), [(3, [((), 3.0)]), (0, [((), 0.0)]), (False, [((), 0.0)]), (None, [])])
def test_a_value_is_one_sample_and_none_is_none(number: float | None, samples: list[Any]) -> None:
    assert list(value(lambda x: x)(number)) == samples


@pytest.mark.parametrize(
    ("label", "number", "samples"),
    [("a", 3, [(("a",), 3.0)]), (None, 0, [(("",), 0.0)]), ("a", None, [])],
)
def test_a_labelled_value(label: str | None, number: float | None, samples: list[Any]) -> None:
    shape: Any = labelled(lambda subject: subject[0], lambda subject: subject[1])
    assert list(shape((label, number))) == samples


def test_an_info_is_always_1_and_an_absent_label_is_empty() -> None:
    shape: Any = info(lambda subject: subject, lambda _: None)
    assert list(shape("a")) == [(("a", ""), 1.0)]


@pytest.mark.parametrize(
    ("now", "samples"),
    [
        ("A", [(("A",), 1.0), (("B",), 0.0)]),
        ("B", [(("A",), 0.0), (("B",), 1.0)]),
        ("new", [(("A",), 0.0), (("B",), 0.0), (("new",), 1.0)]),
        (None, []),
    ],
)
def test_a_state_is_1_and_the_other_known_ones_are_0(now: str | None, samples: list[Any]) -> None:
    assert list(state(("A", "B"), lambda x: x)(now)) == samples


@pytest.mark.parametrize(("text", "samples"), [("a", [(("a",), 1.0)]), (None, [])])
def test_a_current_text_is_1_and_none_is_none(text: str | None, samples: list[Any]) -> None:
    assert list(current(lambda x: x)(text)) == samples


def test_each_gives_what_its_function_gives() -> None:
    assert list(each(lambda _: [(("a",), 1.0), (("b",), 2.0)])(None)) == [(("a",), 1.0), (("b",), 2.0)]


def test_the_first_of_equal_label_sets_is_kept() -> None:
    assert unique([(("a",), 1.0), (("b",), 2.0), (("a",), 3.0)]) == [(("a",), 1.0), (("b",), 2.0)]
