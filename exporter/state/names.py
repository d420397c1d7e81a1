"""Assigns the exported names of a project's deployments, computed from all of them regardless of order."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping

from exporter.cooperative import in_slices
from exporter.state.records import Record

Rank = tuple[bool, bool, float, str]


async def shown_names(records: Mapping[str, Record]) -> AsyncIterator[tuple[str, Record]]:
    """(label `deployment`, record) of each record; no label comes twice.

    A name that is the key of another record is never assigned to a different one. Of several deployments with one name
    it belongs to the one with state, then the older one, then the smaller key; others are exported by key."""
    owners: dict[str, tuple[Rank, str]] = {}
    async for key, record in in_slices(records.items()):
        if record.name != key and record.name in records:
            continue
        claim = (_rank(record), key)
        if record.name not in owners or claim < owners[record.name]:
            owners[record.name] = claim
    async for key, record in in_slices(records.items()):
        owner = owners.get(record.name)
        yield (record.name if owner is not None and owner[1] == key else key), record


def _rank(record: Record) -> Rank:
    state = record.state
    created = None if state is None else state.deployment.created_at
    return state is None, created is None, created or 0.0, record.key
