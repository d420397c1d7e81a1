from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry, Metric, generate_latest
from prometheus_client.parser import text_string_to_metric_families

from exporter.metrics.family import Family, Sample
from exporter.metrics.lines import MAX_LAYOUTS, escape, identify, writer
from tests.examples import examples

Samples = list[Sample]


def family(*labels: str, **more: Any) -> Family[Samples]:
    return Family("together_x", "Help.", lambda samples: samples, labels, **more)


def written(samples: Samples, *labels: str, identity: dict[str, str] | None = None, **more: Any) -> str:
    identity = identity or {}
    write = writer(family(*labels, **more), tuple(identity))
    return write(identify(tuple(identity))(tuple(identity.values())), samples).decode()


@pytest.mark.parametrize(
    ("number", "text"),
    [(1.0, "1.0"), (0.0, "0.0"), (-0.0, "0.0"), (1.5, "1.5"), (1e6, "1e+06"), (2.0**53, "9.007199254740992e+15"),
     (1775001600.0, "1.7750016e+09"), (-3.0, "-3.0"), (float("inf"), "+Inf")],
)  # fmt: skip
def test_a_number_is_written_as_prometheus_client_writes_it(number: float, text: str) -> None:
    assert written([((), number)]) == f"together_x {text}\n"


def test_labels_are_sorted_by_name_with_those_of_the_identity() -> None:
    line = written([(("Z", "C"), 1.0)], "zone", "class", identity={"project": "P", "deployment": "D"})
    assert line == 'together_x{class="C",deployment="D",project="P",zone="Z"} 1.0\n'


def test_without_labels_there_are_no_braces() -> None:
    assert written([((), 1.0)]) == "together_x 1.0\n"


def test_no_samples_are_no_bytes() -> None:
    assert written([], "a") == ""


def test_a_series_comes_once() -> None:
    assert written([(("a",), 1.0), (("a",), 2.0)], "l") == 'together_x{l="a"} 1.0\n'


def test_a_summary_has_its_suffixes_in_the_name() -> None:
    text = written([(("_sum",), 1.5), (("_count",), 2.0)], identity={"p": "P"}, type="summary")
    assert text == 'together_x_sum{p="P"} 1.5\ntogether_x_count{p="P"} 2.0\n'


@pytest.mark.parametrize(
    ("text", "escaped"),
    [
        ("plain", "plain"),
        ('a"b', r"a\"b"),
        ("a\\b", r"a\\b"),
        ("a\nb", r"a\nb"),
        ("100%s {} %d", "100%s {} %d"),
        ("é🚀", "é🚀"),
    ],
)
def test_a_label_value_is_escaped_wherever_it_stands(text: str, escaped: str) -> None:
    assert escape(text) == escaped
    assert written([((text,), 1.0)], "l", identity={"p": text}) == f'together_x{{l="{escaped}",p="{escaped}"}} 1.0\n'


def test_a_layout_that_is_used_again_has_the_identity_of_who_uses_it() -> None:
    write = writer(family("l"), ("p",))
    texts = [write((name,), [(("a",), 1.0), (("b",), 0.0)]).decode() for name in ("one", "other")]
    assert texts[1] == texts[0].replace("one", "other")
    assert texts[0].count("one") == 2


def test_more_layouts_than_are_kept_are_written_all_the_same() -> None:
    write = writer(family(), ())
    for _ in range(2):
        for number in range(MAX_LAYOUTS + 5):
            assert write((), [((), number + 0.5)]) == f"together_x {number}.5\n".encode()


texts = st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=10) | st.sampled_from(
    ['"', "\\", "\n", "%s", "{"]
)


@settings(max_examples=examples(100), deadline=None, derandomize=True, database=None)
@given(texts, st.lists(st.tuples(texts, st.floats(allow_nan=False)), min_size=1, max_size=4, unique_by=lambda s: s[0]))
def test_lines_are_what_prometheus_client_would_write_and_read(identity: str, samples: list[tuple[str, float]]) -> None:
    metric = Metric("together_x", "Help.", "gauge")
    for label, number in samples:
        metric.add_sample("together_x", {"p": identity, "l": label}, number + 0.0)

    class Collector:
        def collect(self) -> list[Metric]:
            return [metric]

    registry = CollectorRegistry()
    registry.register(Collector())
    expected = generate_latest(registry).decode().split("\n", 2)[2]
    text = written([((label,), number) for label, number in samples], "l", identity={"p": identity})
    assert text == expected
    (read,) = text_string_to_metric_families("# TYPE together_x gauge\n" + text)
    assert [sample.labels for sample in read.samples] == [{"p": identity, "l": label} for label, _ in samples]
