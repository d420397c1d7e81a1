from __future__ import annotations

from exporter.settings.shards import shard_of

KEYS = [f"dep-{number}" for number in range(4000)]


def test_a_key_is_in_one_shard_and_few_move_when_one_is_added() -> None:
    before, after = ([shard_of(key, total) for key in KEYS] for total in (4, 5))
    assert set(before) == set(range(4))
    moved = [new for old, new in zip(before, after, strict=True) if old != new]
    assert set(moved) == {4}
    assert 0.15 < len(moved) / len(KEYS) < 0.25
