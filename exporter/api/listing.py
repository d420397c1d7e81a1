"""`GET /deployments`: an item whose bytes are those of the previous list is not read again."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from heapq import nsmallest
from typing import Any

import msgspec

from exporter.api.errors import ApiError, InvalidResponse, PollTimeout
from exporter.api.models import (
    BOM,
    DEPLOYMENT_KEYS,
    MAX_DEPLOYMENT,
    NO_VARIABLES,
    Dropped,
    Reading,
    printable,
    read_json,
    read_lenient_json,
    read_object,
    too_large,
)
from exporter.cooperative import in_slices

MAX_OBJECTS = 1_000_000  # in a body; 20,000 deployments with 5 replicas have a third of it
VALUES_PER_OBJECT = 32  # on average at the most; a deployment has 25
LARGE_ITEM = 2**18  # bytes from which an item is parsed in a thread

Wanted = Callable[[str | None, str | None], bool]  # of an item's ID and name


@dataclass(frozen=True, slots=True)
class Unreadable:
    """An item of which nothing but its ID and name could be read."""

    id: str | None
    name: str | None
    error: ApiError


Item = Reading | Unreadable


@dataclass(frozen=True, slots=True)
class Listing:
    """`is_complete`: the API does not say that there is more. `dropped`: items that were left out as a whole."""

    items: tuple[Item, ...] = ()
    is_complete: bool = True
    dropped: tuple[Dropped, ...] = ()


class _Head(msgspec.Struct):
    """What an item is chosen by."""

    id: Any = None
    name: Any = None


class _Body(msgspec.Struct):
    object: Any = None
    data: list[msgspec.Raw] | msgspec.UnsetType | None = msgspec.UNSET
    has_more: Any = None


_BODY = msgspec.json.Decoder(_Body)
_HEAD = msgspec.json.Decoder(_Head)


class ListReader:
    """Reads one project's lists. Cached: the readings of the previous list by their bytes; each list replaces them."""

    def __init__(self, variables: frozenset[str] = NO_VARIABLES) -> None:
        """`variables`: of a deployment's environment, those whose value is kept."""
        self._variables = variables
        self._previous: Mapping[bytes, Item] = {}

    async def read(self, body: bytes, wanted: Wanted, limit: int, deadline: float = float("inf")) -> Listing:
        """Where there are more than `limit` items, those that are `wanted` with the smallest IDs are read.

        `deadline`: in monotonic seconds. Raises InvalidResponse, and PollTimeout after the deadline."""
        body = body.removeprefix(BOM)
        objects = body.count(b"{")
        if objects > MAX_OBJECTS or body.count(b",") > VALUES_PER_OBJECT * objects + MAX_OBJECTS // 10:
            raise InvalidResponse("the answer has too many values")
        try:
            raw = _BODY.decode(body)
            parts: Iterable[bytes | dict[str, Any]] = [bytes(item) for item in _data(raw.data, raw.object)]
            has_more = raw.has_more
        except (msgspec.MsgspecError, UnicodeDecodeError):  # one odd string or number must not cost the other items
            parts, has_more = await asyncio.to_thread(_lenient, body, deadline)
        return await self._items(list(parts), has_more is True, wanted, limit)

    async def _items(self, parts: list[bytes | dict[str, Any]], has_more: bool, wanted: Wanted, limit: int) -> Listing:
        chosen, over = (parts, 0) if len(parts) <= limit else await _smallest(parts, wanted, limit)
        items: list[Item] = []
        read: dict[bytes, Item] = {}
        nameless = 0
        async for part in in_slices(chosen):
            item = self._previous.get(part) if isinstance(part, bytes) else None
            if item is None:
                large = isinstance(part, bytes) and len(part) > LARGE_ITEM
                item = await asyncio.to_thread(_item, part, self._variables) if large else _item(part, self._variables)
            if item is None or (item.id is None and item.name is None):
                nameless += 1
                continue
            items.append(item)
            if isinstance(part, bytes):
                read[part] = item
        self._previous = read
        dropped = (Dropped("invalid_value", "", nameless), Dropped("deployment_limit", "", over))
        return Listing(tuple(items), not has_more, tuple(each for each in dropped if each.count))


def _data(data: Any, kind: object) -> list[Any]:
    """The SDK types `data` as optional: null is an empty list, and so is nothing in an object that says it is one."""
    if data is msgspec.UNSET:
        if kind != "list":
            raise InvalidResponse("the answer has no list `data`")
        return []
    if data is not None and not isinstance(data, list):
        raise InvalidResponse("the answer has no list `data`")
    return data or []


def _lenient(body: bytes, deadline: float) -> tuple[list[dict[str, Any]], object]:
    """In a thread, which cannot be cancelled: each object looks at the clock."""

    def pairs(found: list[tuple[str, Any]]) -> dict[str, Any]:
        if time.monotonic() > deadline:
            raise PollTimeout("the answer took too long to parse")
        return dict(found)

    answer = read_lenient_json(body, pairs)
    if not isinstance(answer, dict):
        raise InvalidResponse(f"the answer is a JSON {type(answer).__name__}, not an object")
    data = _data(answer.get("data", msgspec.UNSET), answer.get("object"))
    return [item if isinstance(item, dict) else {} for item in data], answer.get("has_more")


async def _smallest(
    parts: list[bytes | dict[str, Any]], wanted: Wanted, limit: int
) -> tuple[list[bytes | dict[str, Any]], int]:
    """The wanted items with the smallest keys, whatever their order, and how many more are wanted."""
    keys: list[tuple[str, int]] = []
    async for place, part in in_slices(enumerate(parts)):
        id_, name = _head(part)
        if (id_ or name) and wanted(id_, name):
            keys.append((id_ or name or "", place))
    places = sorted(place for _, place in nsmallest(limit, keys))
    return [parts[place] for place in places], len(keys) - len(places)


def _head(part: bytes | dict[str, Any]) -> tuple[str | None, str | None]:
    """ID and name."""
    if isinstance(part, bytes):
        try:
            head = _HEAD.decode(part)
        except msgspec.MsgspecError:
            return None, None
        found = (head.id, head.name)
    else:
        found = (part.get("id"), part.get("name"))
    id_, name = (printable(text) or None if isinstance(text, str) else None for text in found)
    return id_, name


def _item(part: bytes | dict[str, Any], variables: frozenset[str]) -> Item | None:
    """None for what is no deployment."""
    if isinstance(part, bytes) and len(part) > MAX_DEPLOYMENT:
        return Unreadable(*_head(part), too_large(len(part)))
    raw: object = part
    if isinstance(part, bytes):
        try:
            raw = read_json(part)
        except InvalidResponse:
            return None
    if not isinstance(raw, dict) or raw.keys().isdisjoint(DEPLOYMENT_KEYS):
        return None
    try:
        return read_object(raw, variables)
    except InvalidResponse as error:
        return Unreadable(*_head(raw), error)
