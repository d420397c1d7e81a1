from __future__ import annotations

import pytest

from exporter.state.shards import belongs, shard_of

KEYS = [f"dep-{number}" for number in range(4000)]


def test_a_key_is_in_one_shard_and_few_move_when_one_is_added() -> None:
    before, after = ([shard_of(key, total) for key in KEYS] for total in (4, 5))
    assert set(before) == set(range(4))
    moved = [new for old, new in zip(before, after, strict=True) if old != new]
    assert set(moved) == {4}
    assert 0.15 < len(moved) / len(KEYS) < 0.25


@pytest.mark.parametrize(("key", "shard"), [("dep-1", 3), ("chat-prod", 2), ("é", 2), ("", 5), ("\ud800", 6)])
def test_a_release_does_not_move_a_key(key: str, shard: int) -> None:
    """These are what earlier releases computed: a fleet would change shards at an update."""
    assert shard_of(key, 7) == shard


@pytest.mark.parametrize("total", [1, 2, 3, 10])
def test_every_key_belongs_to_exactly_one_shard(total: int) -> None:
    for key in KEYS[:200]:
        assert [index for index in range(total) if belongs(key, index, total)] == [shard_of(key, total)]


def test_the_only_shard_has_everything() -> None:
    assert all(belongs(key, 0, 1) for key in KEYS)
