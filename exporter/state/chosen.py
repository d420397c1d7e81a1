"""Which items of a list are shown, and by which key each is known, whatever the order of the items."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping

from exporter.api.listing import Item
from exporter.api.models import Dropped, Reading
from exporter.cooperative import in_slices
from exporter.state.records import Target


async def chosen(target: Target, items: Iterable[Item]) -> tuple[Mapping[str, Item], list[Dropped]]:
    """The items by key, and what is left out."""
    candidates: defaultdict[str, list[Item]] = defaultdict(list)
    async for item in in_slices(items):
        if target.wants(item.id, item.name):
            for key in _keys(target, item):
                candidates[key].append(item)
    found = {key: _first(key, items_of_key) for key, items_of_key in candidates.items()}
    dropped = [*_repeated(found, candidates)]
    for key, items_of_key in candidates.items():
        for item in items_of_key:
            if item is not found[key] and item.id is not None:
                found.setdefault(item.id, item)
    limit = target.limits.max_deployments_per_project
    if len(found) > limit:
        dropped.append(Dropped("deployment_limit", "", len(found) - limit))
        kept = sorted(found, key=lambda key: (key not in target.configured, key))[:limit]
        found = {key: found[key] for key in kept}
    return found, dropped


def _keys(target: Target, item: Item) -> Iterator[str]:
    """Its ID where deployments are discovered; what of ID and name is configured. Of several deployments with a
    configured name, the oldest is found by it, and the others by their ID."""
    if target.keys is None:
        yield item.id or item.name or ""
    else:
        yield from {key for key in (item.id, item.name) if key is not None and key in target.configured}


def _first(key: str, items: list[Item]) -> Item:
    """The one with this ID, else the oldest."""
    return items[0] if len(items) == 1 else min(items, key=lambda item: (item.id != key, *_rank(item)))


def _rank(item: Item) -> tuple[object, ...]:
    """The older first; whatever decides among equals, the order of the list does not."""
    created = item.deployment.created_at if isinstance(item, Reading) else None
    return created is None, created or 0.0, item.id or "", item.name or "", repr(item)


def _repeated(found: Mapping[str, Item], candidates: Mapping[str, list[Item]]) -> Iterator[Dropped]:
    """Items that stand in the list more than once."""
    for key, items in candidates.items():
        if repeated := sum(item.id == found[key].id for item in items) - 1:
            yield Dropped("duplicate_deployment", found[key].name or key, repeated)
