"""Reads `GET /deployments`; items with the same bytes as in the previous list are not read again."""

from __future__ import annotations

import asyncio
import json
import time
from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from heapq import nsmallest
from typing import Any

import msgspec

from exporter.api.errors import ApiError, InvalidResponse, PollTimeout
from exporter.api.models import DEPLOYMENT_KEYS, Dropped, printable
from exporter.api.reading import (
    BOM,
    MAX_DEPLOYMENT,
    NO_VARIABLES,
    Reading,
    read_json,
    read_lenient_json,
    read_object,
    too_large,
)
from exporter.cooperative import in_slices

MAX_COMMAS = 4_000_000  # in a body; 64 MiB of deployments have 3 million
MIN_LIMIT = 10_000  # deployments; the default
ITEMS_PER_DEPLOYMENT = 10  # maximum length of a list, in multiples of the limit of deployments
LARGE_ITEM = 2**18  # bytes above which an item is parsed in a thread

Wanted = Callable[[str | None, str | None], bool]  # of an item's ID and name


@dataclass(frozen=True, slots=True)
class Unreadable:
    """An item of which only ID and name could be read."""

    id: str | None
    name: str | None
    error: ApiError


Item = Reading | Unreadable
Part = bytes | dict[str, Any] | Unreadable  # an item before it is read


@dataclass(frozen=True, slots=True)
class Listing:
    """`is_complete`: False if the API says that there is more. `dropped`: items omitted as a whole."""

    items: tuple[Item, ...] = ()
    is_complete: bool = True
    dropped: tuple[Dropped, ...] = ()


class _Head(msgspec.Struct):
    """The fields by which items are selected."""

    id: Any = None
    name: Any = None


class _Body(msgspec.Struct):
    object: Any = None
    data: list[msgspec.Raw] | msgspec.UnsetType | None = msgspec.UNSET
    has_more: Any = None
    error: Any = None


_BODY = msgspec.json.Decoder(_Body)
_HEAD = msgspec.json.Decoder(_Head)


class ListReader:
    """Reads the lists of one project. Cached: readings of the previous list by their bytes; replaced by each list."""

    def __init__(self, variables: frozenset[str] = NO_VARIABLES) -> None:
        """`variables`: environment variables whose values are kept."""
        self._variables = variables
        self._previous: Mapping[bytes, Item] = {}

    async def read(self, body: bytes, wanted: Wanted, limit: int, deadline: float = float("inf")) -> Listing:
        """Above `limit` items, reads those that are `wanted` with the smallest IDs.

        `deadline`: monotonic seconds. Raises InvalidResponse, and PollTimeout after the deadline."""
        body = body.removeprefix(BOM)
        if body.count(b",") > MAX_COMMAS:
            raise InvalidResponse(f"response has more than {MAX_COMMAS:,} values")
        await asyncio.sleep(0)  # each of these steps takes some milliseconds for a long body
        try:
            raw = _BODY.decode(body)
            data, has_more = _data(raw.data, raw.object, raw.error), raw.has_more or raw.error
        except (
            msgspec.MsgspecError,
            UnicodeDecodeError,
        ):  # a single invalid string or number must not invalidate other items
            data, has_more = await asyncio.to_thread(_lenient, body, deadline)
        if len(data) > ITEMS_PER_DEPLOYMENT * max(limit, MIN_LIMIT):
            raise InvalidResponse(f"the list has {len(data):,} items")
        parts: list[Part] = [bytes(i) if isinstance(i, msgspec.Raw) else i async for i in in_slices(data)]
        return await self._items(parts, _is_true(has_more), wanted, limit)

    async def _items(self, parts: list[Part], has_more: bool, wanted: Wanted, limit: int) -> Listing:
        chosen, over, nameless = (parts, 0, 0) if len(parts) <= limit else await _smallest(parts, wanted, limit)
        items: list[Item] = []
        read: dict[bytes, Item] = {}
        async for part in in_slices(chosen):
            item = read.get(part) or self._previous.get(part) if isinstance(part, bytes) else None
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


def _is_true(has_more: object) -> bool:
    """Everything except false, 0, null and absent counts as true, so that deployments are not taken for deleted."""
    return has_more is not msgspec.UNSET and str(has_more or "").lower() not in {"", "0", "false"}


def _data(data: Any, kind: object, error: object) -> list[Any]:
    """The SDK types `data` as optional: null is an empty list, and so is a list object without `data`, but not where
    there is an error."""
    if error and not data:
        raise InvalidResponse("response has an error instead of a list")
    if data is msgspec.UNSET:
        if kind != "list":
            raise InvalidResponse("response has no list `data`")
        return []
    if data is not None and not isinstance(data, list):
        raise InvalidResponse("response has no list `data`")
    return data or []


def _lenient(body: bytes, deadline: float) -> tuple[list[Part], object]:
    """Runs in a thread, which cannot be cancelled; checks the deadline for each object."""

    def check() -> None:
        if time.monotonic() > deadline:
            raise PollTimeout("deadline exceeded while parsing the response")

    def pairs(found: list[tuple[str, Any]]) -> dict[str, Any]:
        check()
        return dict(found)

    def part(item: Any) -> Part:
        check()
        size = len(json.dumps(item, ensure_ascii=False, separators=(",", ":"))) if len(body) > MAX_DEPLOYMENT else 0
        if not isinstance(item, dict):
            return {}
        return item if size <= MAX_DEPLOYMENT else Unreadable(*_head(item), too_large(size))

    answer = read_lenient_json(body, pairs)
    if not isinstance(answer, dict):
        raise InvalidResponse(f"response is a JSON {type(answer).__name__}, not an object")
    data = _data(answer.get("data", msgspec.UNSET), answer.get("object"), answer.get("error"))
    return [part(item) for item in data], answer.get("has_more") or answer.get("error")


async def _smallest(parts: list[Part], wanted: Wanted, limit: int) -> tuple[list[Part], int, int]:
    """Returns the wanted items with the smallest keys in any order, the number of other wanted items, and the number of
    items with neither ID nor name."""
    places: defaultdict[str, list[int]] = defaultdict(list)
    nameless = 0
    async for place, part in in_slices(enumerate(parts)):
        id_, name = _head(part)
        key = id_ or name
        if key is None:
            nameless += 1
        elif wanted(id_, name):
            places[key].append(place)
    chosen = sorted(place for key in nsmallest(limit, places) for place in places[key])
    return [parts[place] for place in chosen], max(len(places) - limit, 0), nameless


def _head(part: Part) -> tuple[str | None, str | None]:
    """Returns ID and name."""
    if isinstance(part, Unreadable):
        return part.id, part.name
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


def _item(part: Part, variables: frozenset[str]) -> Item | None:
    """Returns None for anything that is not a deployment."""
    if isinstance(part, Unreadable):
        return part
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
