"""JSON of the API to its models, tolerantly: invalid values are omitted and named, the rest is kept."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from pydantic import TypeAdapter, ValidationError
from pydantic_core import from_json

from exporter.api.errors import InvalidResponse
from exporter.api.models import DEPLOYMENT_KEYS, Context, Deployment, Dropped, Queue, Revision, printable

MAX_DEPLOYMENT = 2**20  # bytes of one deployment's JSON
NO_VARIABLES: frozenset[str] = frozenset()
BOM = b"\xef\xbb\xbf"

Path = tuple[Any, ...]  # keys and positions that lead to a value
Answer = TypeVar("Answer", Deployment, Queue, Revision)
_DEPLOYMENT, _QUEUE, _REVISION = TypeAdapter(Deployment), TypeAdapter(Queue), TypeAdapter(Revision)


@dataclass(frozen=True, slots=True)
class Reading:
    """A deployment and the omitted parts of its JSON. `unreadable_replicas`: names of replicas that are listed, but
    not in `replica_events` because nothing about them could be read."""

    deployment: Deployment
    dropped: tuple[Dropped, ...] = ()
    unreadable_replicas: frozenset[str] = frozenset()

    @property
    def id(self) -> str | None:
        return self.deployment.id

    @property
    def name(self) -> str | None:
        return self.deployment.name


def read_deployment(body: bytes, variables: frozenset[str] = NO_VARIABLES) -> Reading:
    """One deployment from a response body. `variables`: those whose value is kept.

    Raises InvalidResponse where the body is too large, no JSON object, or one
    of something else: an error in a 200 must not pass for a deployment of which nothing is known any more."""
    if len(body) > MAX_DEPLOYMENT:
        raise too_large(len(body))
    raw = _object(read_json(body))
    if raw.keys().isdisjoint(DEPLOYMENT_KEYS):
        raise InvalidResponse("response has no field of a deployment")
    return read_object(raw, variables)


def too_large(size: int) -> InvalidResponse:
    """`size`: of the deployment's JSON, in bytes."""
    return InvalidResponse(f"deployment exceeds {MAX_DEPLOYMENT:,} bytes of JSON: {size:,} bytes")


def read_queue(body: bytes) -> Queue:
    """A queue's counts. Raises InvalidResponse where the body is no JSON object with a queue's counts."""
    queue = _tolerant(_QUEUE, _object(read_json(body)))[0]
    if queue.messages_waiting is None and queue.messages_running is None:
        raise InvalidResponse("response has no field of queue metrics")
    return queue


def read_revision(body: bytes) -> Revision:
    """The newest revision, which is the first of the list. Raises InvalidResponse where there is none."""
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
    """Python's own parser: slower, but one odd string or number must not cost the others. `hook` makes an object of its
    pairs. Raises InvalidResponse, and what the hook raises."""
    try:
        text = body.decode(errors="replace")
        return json.loads(text, strict=False, parse_int=_any_int, object_pairs_hook=hook)
    except (ValueError, RecursionError):
        raise InvalidResponse("response is not JSON") from None


def _any_int(digits: str) -> float:
    """A JSON integer of any length; one that no counter can have becomes a float, or infinity."""
    return int(digits) if len(digits) < 19 else float(digits)  # noqa: PLR2004 - 19 digits leave 64 bits


def _object(value: object) -> dict[str, Any]:
    if isinstance(value, dict):
        return value
    raise InvalidResponse(f"response is a JSON {type(value).__name__}, not an object")


def read_object(raw: dict[str, Any], variables: frozenset[str] = NO_VARIABLES) -> Reading:
    """One deployment from its JSON object."""
    deployment, dropped, refused = _tolerant(_DEPLOYMENT, raw, variables)
    replicas = (path[1] for path in refused if len(path) == 2 and path[0] == "replica_events")  # noqa: PLR2004
    return Reading(deployment, dropped, frozenset(printable(name) for name in replicas if name))


def _tolerant(
    model: TypeAdapter[Answer], raw: dict[str, Any], variables: frozenset[str] = NO_VARIABLES
) -> tuple[Answer, tuple[Dropped, ...], Sequence[Path]]:
    """The model without invalid values, or without the fields that contain them; what was omitted; its paths.

    Raises InvalidResponse if that does not help."""
    refused: list[Path] = []
    rest = raw
    for depth in (None, None, 1, 1):
        noted: list[Dropped] = []
        try:
            read = model.validate_python(rest, context=Context(variables, noted))
            return read, (*noted, *(Dropped("invalid_value", _field(path)) for path in refused)), refused
        except ValidationError as error:
            problems = error.errors(include_url=False, include_context=False, include_input=False)
        if any(problem["type"] == "string_unicode" for problem in problems):
            rest = _with_printable_keys(rest)  # an odd name of a field that this version does not know
            continue
        wrong = sorted({_known_part(rest, problem["loc"])[:depth] for problem in problems}, key=str)
        refused += wrong
        rest = _without(rest, wrong)
    raise InvalidResponse("response does not match the schema")


def _field(path: Path) -> str:
    """The path in the API's own words: `*` for list positions and for replica names, which come and go."""
    named = path[0] == "replica_events"
    steps = ["*" if isinstance(step, int) or (named and depth == 1) else step for depth, step in enumerate(path)]
    return ".".join(steps)


def _known_part(raw: Any, path: Path) -> Path:
    """As much of pydantic's path as exists in the answer; for a dict's key it appends a word of its own."""
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
    """A copy of the answer that lacks the values at the paths."""
    below: dict[Any, list[Path]] = defaultdict(list)
    for head, *rest in paths:
        below[head].append(tuple(rest))
    if isinstance(raw, dict):
        kept = {key: value for key, value in raw.items() if () not in below.get(key, ())}
        return {key: _without(value, below[key]) if key in below else value for key, value in kept.items()}
    return [
        _without(value, below[index]) if index in below else value
        for index, value in enumerate(raw)
        if () not in below.get(index, ())
    ]
