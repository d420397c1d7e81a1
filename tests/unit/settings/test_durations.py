from __future__ import annotations

import pytest

from exporter.settings.durations import parse, show


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("500ms", 0.5), ("30s", 30), ("5m", 300), ("1h30m", 5400), ("1d", 86400), ("1w2d", 777600), ("1s500ms", 1.5)],
)
def test_a_duration_is_read_and_shown_alike(text: str, seconds: float) -> None:
    assert parse(text) == seconds
    assert show(seconds) == text


@pytest.mark.parametrize(
    ("value", "hint"),
    [
        ("30", '"30" has no unit; write 30s'),
        (30, '"30" has no unit; write 30s'),
        ("1.5s", "is not a duration"),
        ("5m1h", "largest unit first"),
        ("-5s", "is not a duration"),
        ("", "is not a duration"),
        ("0s", "above 0"),
        (None, "is not a duration"),
        (True, "is not a duration"),
    ],
)
def test_what_is_no_duration_is_told_how_to_be_one(value: object, hint: str) -> None:
    with pytest.raises(ValueError, match=r"duration|unit") as caught:
        parse(value)
    assert hint in str(caught.value)
