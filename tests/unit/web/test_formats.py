"""Numbers, ages and commands."""

from __future__ import annotations

import shlex

import pytest

from exporter.web.formats import Clock, attribute, count, interval, logs_command, number, span

CLOCK = Clock("2026-04-01T12:00:00.000Z")


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (-3, "0s"),
        (0.4, "0s"),
        (1, "1s"),
        (90, "1m 30s"),
        (720, "12m"),
        (3600, "1h"),
        (36_060, "10h"),
        (90_061, "1d 1h"),
    ],
)
def test_spans_have_one_unit_or_two(seconds: float, text: str) -> None:
    assert span(seconds) == text


def test_times_are_ages_with_the_exact_time_on_hover() -> None:
    title = 'title="2026-04-01 11:52:00 UTC"'
    time = "2026-04-01T11:52:00.000Z"
    assert CLOCK.age(time) == f'<time datetime="{time}" {title}>8m</time>'
    assert CLOCK.ago(time) == f'<time datetime="{time}" {title}>8m ago</time>'
    assert CLOCK.ago("2026-04-01T12:00:00.400Z").endswith(">just now</time>")
    assert CLOCK.until("2026-04-01T12:00:12.000Z").endswith(">in 12s</time>")
    assert CLOCK.moment(time).endswith('>11:52<span class="zone"> UTC</span></time>')
    assert CLOCK.moment("2026-03-31T23:59:00.000Z").endswith(">2026-03-31</time>")


def test_an_interval_may_be_shorter_than_a_second() -> None:
    assert [interval(seconds) for seconds in (0.2, 1, 30, 120)] == ["200ms", "1s", "30s", "2m"]


def test_numbers_and_counts() -> None:
    assert [number(n) for n in (None, 0, 3.0, 2.5, 1234567)] == ["–", "0", "3", "2.5", "1,234,567"]
    assert [count(n, "project") for n in (0, 1, 2)] == ["0 projects", "1 project", "2 projects"]


def test_an_attribute_does_not_turn_the_text_around() -> None:
    assert attribute("a\u202eb\u2069c") == "abc"


@pytest.mark.parametrize("name", ["r-1", "a b", "'; rm -rf / #", "$(x)`y`", "?a=b&c"])
def test_the_logs_command_is_safe_to_paste(name: str) -> None:
    words = shlex.split(logs_command("https://api.together.ai/v1/deployments/id", name))
    assert words[:3] == ["curl", "-H", "Authorization: Bearer $TOGETHER_API_KEY"]
    assert len(words) == 4
    assert words[3].startswith("https://api.together.ai/v1/deployments/id/logs?replica_id=")
    assert not set(words[3].partition("=")[2]) & set(" '\"$`&?#;")
