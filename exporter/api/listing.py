"""Lists read one after another: a deployment that stands there in the same words as before is not read again."""

from __future__ import annotations

import json
import re
from collections.abc import Generator

from exporter.api.errors import InvalidResponse
from exporter.api.models import Deployment, Reading, any_int, read_object
from exporter.steps import in_one_go

_DECODER = json.JSONDecoder(parse_int=any_int)
_SPACE = re.compile(r"[ \t\n\r]*")
NOT_JSON = "the answer is not JSON"
NEVER = "\0"  # stands in no JSON; for what is no object, which has no end of its own: 1 would be found in 10
NOTHING = Reading(Deployment())  # of which nothing is known

Item = tuple[str, Reading]  # as it stood in the answer, and what was read from it


class ListReader:
    """Reads the bodies of `GET /deployments`. A reading that is the same object as the last time is unchanged."""

    def __init__(self) -> None:
        self._items: list[Item] = []
        self._places: dict[str, int] = {}  # by ID or name

    def read(self, body: bytes) -> Generator[None, None, tuple[Reading, ...]]:
        """The list's deployments, in its order; an item that is no object reads as one of which nothing is known.

        A step is one deployment. Raises InvalidResponse where the body is no JSON object with a `data` list; then
        what was read before is still remembered."""
        text = body.decode(errors="replace")
        try:
            items = yield from self._object(text)
        except (ValueError, RecursionError):
            raise InvalidResponse(NOT_JSON) from None
        if items is None:
            raise InvalidResponse("the answer has no list `data`")
        self._items = items
        self._places = {name: place for place, item in enumerate(items) if (name := _name(item))}
        return tuple([reading for _, reading in items])

    def _object(self, text: str) -> Generator[None, None, list[Item] | None]:
        """The items of `data`, None where there are none. Raises ValueError where the text is not JSON."""
        position = _skip(text, 0)
        if text[position : position + 1] != "{":
            value, end = _DECODER.raw_decode(text, position)
            _expect_end(text, end)
            raise InvalidResponse(f"the answer is a JSON {type(value).__name__}, not an object")
        items: list[Item] | None = None
        position = _skip(text, position + 1)
        while text[position : position + 1] != "}":
            key, position = _key(text, position)
            if key == "data" and text[position : position + 1] == "[":
                items, position = yield from self._list(text, position + 1)
            else:
                value, position = _DECODER.raw_decode(text, position)
                items = None if key == "data" else items
            position = _next(text, position, "}")
        _expect_end(text, position + 1)
        return items

    def _list(self, text: str, position: int) -> Generator[None, None, tuple[list[Item], int]]:
        """The items from here to the closing bracket, and the position behind it."""
        items: list[Item] = []
        place = 0  # in the list before, of the item that is expected next
        position = _skip(text, position)
        while text[position : position + 1] != "]":
            known = self._items[place] if place < len(self._items) else (NEVER, NOTHING)
            if text.startswith(known[0], position):
                item, end = known, position + len(known[0])
                place += 1
            else:
                item, end = _read(text, position)
                found = self._places.get(_name(item))
                if found is not None:
                    item = self._items[found] if self._items[found][0] == item[0] else item
                    place = found + 1
                elif known[0] == NEVER:
                    place += 1
            items.append(item)
            position = _next(text, end, "]")
            yield
        return items, position + 1


def _read(text: str, position: int) -> tuple[Item, int]:
    raw, end = _DECODER.raw_decode(text, position)
    return ((text[position:end], read_object(raw)) if isinstance(raw, dict) else (NEVER, NOTHING)), end


def _name(item: Item) -> str:
    """What a deployment is found by in the next list."""
    return item[1].deployment.id or item[1].deployment.name or ""


def _skip(text: str, position: int) -> int:
    match = _SPACE.match(text, position)
    return match.end() if match else position


def _next(text: str, position: int, closing: str) -> int:
    """Where the next member or the closing bracket stands."""
    position = _skip(text, position)
    if text[position : position + 1] == ",":
        position = _skip(text, position + 1)
        if text[position : position + 1] != closing:
            return position
    elif text[position : position + 1] == closing:
        return position
    raise ValueError(NOT_JSON)


def _key(text: str, position: int) -> tuple[str, int]:
    """An object's key and where its value begins."""
    key, position = _DECODER.raw_decode(text, position)
    position = _skip(text, position)
    if not isinstance(key, str) or text[position : position + 1] != ":":
        raise ValueError(NOT_JSON)
    return key, _skip(text, position + 1)


def _expect_end(text: str, position: int) -> None:
    if _skip(text, position) != len(text):
        raise ValueError(NOT_JSON)


def read_list(body: bytes) -> tuple[Reading, ...]:
    """A list of which nothing is known yet, in one go. Raises InvalidResponse."""
    return in_one_go(ListReader().read(body))
