"""Which items of a list are shown, and by which key each is known, whatever the order of the items."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping

from exporter.api.listing import Item
from exporter.api.models import Dropped, Reading
from exporter.cooperative import in_slices
from exporter.state.records import Target


async def chosen(target: Target, items: Iterable[Item]) -> tuple[Mapping[str, Item], frozenset[str], list[Dropped]]:
    """The items by key, the keys beyond the limit, and what is left out."""
    candidates: defaultdict[str, list[Item]] = defaultdict(list)
    async for item in in_slices(items):
        if target.wants(item.id, item.name):
            for key in _keys(target, item):
                candidates[key].append(item)
    found = {key: _first(key, items_of_key) for key, items_of_key in candidates.items()}
    candidates.update(_others(found, candidates))
    found = {key: found.get(key) or _first(key, items_of_key) for key, items_of_key in candidates.items()}
    dropped = [*_repeated(found, candidates)]
    limit = target.limits.max_deployments_per_project
    if len(found) <= limit:
        return found, frozenset(), dropped
    ranked = sorted(found, key=lambda key: (key not in target.configured, key))
    dropped.append(Dropped("deployment_limit", "", len(found) - limit))
    return {key: found[key] for key in ranked[:limit]}, frozenset(ranked[limit:]), dropped


def _keys(target: Target, item: Item) -> Iterator[str]:
    """Its ID where deployments are discovered; what of ID and name is configured. Of several deployments with a
    configured name, the oldest is found by it, and the others by their ID."""
    if target.keys is None:
        yield item.id or item.name or ""
    else:
        yield from {key for key in (item.id, item.name) if key is not None and key in target.configured}


def _others(found: Mapping[str, Item], candidates: Mapping[str, list[Item]]) -> Mapping[str, list[Item]]:
    """Further deployments with a configured name, by ID."""
    others: defaultdict[str, list[Item]] = defaultdict(list)
    for key, items in candidates.items():
        for item in items:
            if item.id is not None and item.id != found[key].id and item.id not in found:
                others[item.id].append(item)
    return others


def _first(key: str, items: list[Item]) -> Item:
    """The one with this ID, else the oldest."""
    return items[0] if len(items) == 1 else min(items, key=lambda item: (item.id != key, *_rank(item)))


def _rank(item: Item) -> tuple[object, ...]:
    """The older first; whatever decides among equals, the order of the list does not."""
    created = item.deployment.created_at if isinstance(item, Reading) else None
    return created is None, created or 0.0, item.id or "", item.name or "", repr(item)


def _repeated(found: Mapping[str, Item], candidates: Mapping[str, list[Item]]) -> Iterator[Dropped]:
    """Items that stand in the list more than once; each is counted once, also where it has two keys."""
    counted: set[str] = set()
    for key, items in candidates.items():
        id_, name = found[key].id, found[key].name
        if len(items) == 1 or id_ in counted:
            continue
        if repeated := sum(item.id == id_ for item in items) - 1:
            counted.update(() if id_ is None else (id_,))
            yield Dropped("duplicate_deployment", name or key, repeated)
