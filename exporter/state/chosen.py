"""Selects the exported items of a list and their keys, independent of the order of the items."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from types import MappingProxyType

from exporter.api.listing import Item
from exporter.api.models import Dropped
from exporter.api.reading import Reading
from exporter.cooperative import in_slices
from exporter.state.records import Target

NOTHING_KNOWN: Mapping[str, str] = MappingProxyType({})


async def chosen(
    target: Target, items: Iterable[Item], known: Mapping[str, str] = NOTHING_KNOWN
) -> tuple[Mapping[str, Item], frozenset[str], list[Dropped]]:
    """Items by key, keys above the limit, and dropped items. `known`: keys by name, for items without ID."""
    candidates: defaultdict[str, list[Item]] = defaultdict(list)
    async for item in in_slices(items):
        if target.wants(item.id, item.name):
            for key in _keys(target, item, known):
                candidates[key].append(item)
    by_key = {key: _first(key, items_of_key) for key, items_of_key in candidates.items()}
    candidates.update(_others(by_key, candidates))
    by_key = {key: by_key.get(key) or _first(key, items_of_key) for key, items_of_key in candidates.items()}
    dropped = [*_repeated(by_key, candidates)]
    limit = target.limits.max_deployments_per_project
    if len(by_key) <= limit:
        return by_key, frozenset(), dropped
    ranked = sorted(by_key, key=lambda key: (key not in target.configured, key))
    dropped.append(Dropped("deployment_limit", "", len(by_key) - limit))
    return {key: by_key[key] for key in ranked[:limit]}, frozenset(ranked[limit:]), dropped


def _keys(target: Target, item: Item, known: Mapping[str, str]) -> Iterator[str]:
    """The ID if deployments are discovered, otherwise the configured ID or name. Of several deployments with a
    configured name, the oldest gets the name and the others are identified by ID."""
    if target.keys is None:
        yield item.id or known.get(item.name or "") or item.name or ""
    else:
        yield from {key for key in (item.id, item.name) if key is not None and key in target.configured}


def _others(by_key: Mapping[str, Item], candidates: Mapping[str, list[Item]]) -> Mapping[str, list[Item]]:
    """Additional deployments with a configured name, by ID."""
    others: defaultdict[str, list[Item]] = defaultdict(list)
    for key, items in candidates.items():
        for item in items:
            if item.id is not None and item.id != by_key[key].id and item.id not in by_key:
                others[item.id].append(item)
    return others


def _first(key: str, items: list[Item]) -> Item:
    """The item with this ID, otherwise the oldest."""
    return items[0] if len(items) == 1 else min(items, key=lambda item: (item.id != key, *_rank(item)))


def _rank(item: Item) -> tuple[object, ...]:
    """Sorts by age, with ties broken independently of the list order."""
    created = item.deployment.created_at if isinstance(item, Reading) else None
    updated = item.deployment.updated_at if isinstance(item, Reading) else None
    return created is None, created or 0.0, item.id or "", -(updated or 0.0), item.name or "", repr(item)


def _repeated(by_key: Mapping[str, Item], candidates: Mapping[str, list[Item]]) -> Iterator[Dropped]:
    """Items listed more than once; each is counted once, even with two keys."""
    counted: set[str] = set()
    for key, items in candidates.items():
        id_, name = by_key[key].id, by_key[key].name
        if len(items) == 1 or id_ in counted:
            continue
        if repeated := sum(item.id == id_ for item in items) - 1:
            counted.update(() if id_ is None else (id_,))
            yield Dropped("duplicate_deployment", name or key, repeated)
