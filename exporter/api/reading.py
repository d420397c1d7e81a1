"""Parses JSON of the API into models: invalid values are omitted and reported, the rest is kept."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, TypeVar

from pydantic import TypeAdapter, ValidationError
from pydantic_core import from_json

from exporter.api.errors import InvalidResponse
from exporter.api.models import DEPLOYMENT_KEYS, Context, Deployment, Dropped, Queue, Revision, printable

MAX_DEPLOYMENT = 2**20  # bytes of one deployment's JSON
COMMON_KEYS = frozenset({"object", "id", "name", "status"})  # also of errors and other objects
ERROR_KEYS = frozenset({"error", "errors", "message", "detail", "code"})  # beside the common ones
OTHER_OBJECTS = ("error", "list")
NO_VARIABLES: frozenset[str] = frozenset()
BOM = b"\xef\xbb\xbf"

Path = tuple[Any, ...]  # keys and list positions
Answer = TypeVar("Answer", Deployment, Queue, Revision)
_DEPLOYMENT, _QUEUE, _REVISION = TypeAdapter(Deployment), TypeAdapter(Queue), TypeAdapter(Revision)


@dataclass(frozen=True, slots=True)
class Reading:
    """A deployment and the omitted parts of its JSON."""

    deployment: Deployment
    dropped: tuple[Dropped, ...] = ()

    @property
    def id(self) -> str | None:
        return self.deployment.id

    @property
    def name(self) -> str | None:
        return self.deployment.name


def read_deployment(body: bytes, variables: frozenset[str] = NO_VARIABLES) -> Reading:
    """Reads a deployment from a response body. `variables`: environment variables whose values are kept.

    Raises InvalidResponse if the body is too large, not a JSON object, or something else: an error object with status
    200 is not a deployment without data."""
    if len(body) > MAX_DEPLOYMENT:
        raise too_large(len(body))
    raw = _object(read_json(body))
    known = raw.keys() & DEPLOYMENT_KEYS
    if not known or (known <= COMMON_KEYS and not raw.keys().isdisjoint(ERROR_KEYS)):
        raise InvalidResponse("response has no field of a deployment")
    return read_object(raw, variables)


def too_large(size: int) -> InvalidResponse:
    """`size`: of the deployment's JSON in bytes."""
    return InvalidResponse(f"deployment exceeds {MAX_DEPLOYMENT:,} bytes of JSON: {size:,} bytes")


def read_queue(body: bytes) -> Queue:
    """Reads the counts of a queue. Raises InvalidResponse if the body is not a JSON object with counts."""
    queue = _tolerant(_QUEUE, _object(read_json(body)))[0]
    if queue.messages_waiting is None and queue.messages_running is None:
        raise InvalidResponse("response has no field of queue metrics")
    return queue


def read_revision(body: bytes) -> Revision:
    """Reads the newest revision, the first of the list. Raises InvalidResponse if the list is empty."""
    data = _object(read_json(body)).get("data")
    if not isinstance(data, list) or not data:
        raise InvalidResponse("response lists no revisions")
    return _tolerant(_REVISION, _object(data[0]))[0]


def read_json(body: bytes) -> object:
    """Raises InvalidResponse."""
    body = body.removeprefix(BOM)
    try:
        return from_json(body)
    except ValueError:
        return read_lenient_json(body)


def read_lenient_json(body: bytes, hook: Callable[[list[tuple[str, Any]]], object] | None = None) -> object:
    """Uses Python's own parser: slower, but a single invalid string or number does not invalidate the others. `hook`:
    builds an object from its pairs. Raises InvalidResponse, and the hook's exceptions."""
    try:
        text = body.decode(errors="replace")
        return json.loads(text, strict=False, parse_int=_any_int, object_pairs_hook=hook)
    except (ValueError, RecursionError):
        raise InvalidResponse("response is not JSON") from None


def _any_int(digits: str) -> float:
    """Parses a JSON integer of any length; very large ones become a float or infinity."""
    return int(digits) if len(digits) < 19 else float(digits)  # noqa: PLR2004 - 19 digits leave 64 bits


def _object(value: object) -> dict[str, Any]:
    if isinstance(value, dict):
        return value
    raise InvalidResponse(f"response is a JSON {type(value).__name__}, not an object")


def read_object(raw: dict[str, Any], variables: frozenset[str] = NO_VARIABLES) -> Reading:
    """Reads a deployment from its JSON object. Raises InvalidResponse for an object of another kind."""
    if raw.get("object") in OTHER_OBJECTS:
        raise InvalidResponse(f"response is an object of kind {raw['object']}, not a deployment")
    return Reading(*_tolerant(_DEPLOYMENT, raw, variables))


def _tolerant(
    model: TypeAdapter[Answer], raw: dict[str, Any], variables: frozenset[str] = NO_VARIABLES
) -> tuple[Answer, tuple[Dropped, ...]]:
    """Returns the model without invalid values, or without the fields that contain them, and the omitted parts.

    Raises InvalidResponse if neither is valid."""
    refused: list[Path] = []
    rest = raw
    for depth in (None, None, 1, 1):
        noted: list[Dropped] = []
        try:
            read = model.validate_python(rest, context=Context(variables, noted))
            return read, (*noted, *(Dropped("invalid_value", _field(path)) for path in refused))
        except ValidationError as error:
            problems = error.errors(include_url=False, include_context=False, include_input=False)
        if any(problem["type"] == "string_unicode" for problem in problems):
            rest = _with_printable_keys(rest)  # an invalid name of an unknown field
            continue
        wrong = sorted({_known_part(rest, problem["loc"])[:depth] for problem in problems}, key=str)
        refused += wrong
        rest = _without(rest, wrong)
    raise InvalidResponse("response does not match the schema")


def _field(path: Path) -> str:
    """Formats a path in the API's terms, with `*` for list positions and replica names."""
    named = path[0] == "replica_events"
    steps = ["*" if isinstance(step, int) or (named and depth == 1) else step for depth, step in enumerate(path)]
    return ".".join(steps)


def _known_part(raw: Any, path: Path) -> Path:
    """Returns the part of pydantic's path that exists in the response; pydantic appends its own markers."""
    for depth, step in enumerate(path):
        try:
            raw = raw[step]
        except (KeyError, IndexError, TypeError):
            return path[:depth]
    return path


def _with_printable_keys(raw: Any) -> Any:
    if isinstance(raw, dict):
        return {printable(key): _with_printable_keys(value) for key, value in raw.items()}
    return [_with_printable_keys(value) for value in raw] if isinstance(raw, list) else raw


def _without(raw: Any, paths: Iterable[Path]) -> Any:
    """Returns a copy without the values at the paths: null in objects, so that what has no other valid part is still
    listed, and left out of lists."""
    below: dict[Any, list[Path]] = defaultdict(list)
    for head, *rest in paths:
        below[head].append(tuple(rest))
    if isinstance(raw, dict):
        kept = {key: None if () in below.get(key, ()) else value for key, value in raw.items()}
        return {key: _without(value, below[key]) if value and key in below else value for key, value in kept.items()}
    return [
        _without(value, below[index]) if index in below else value
        for index, value in enumerate(raw)
        if () not in below.get(index, ())
    ]
