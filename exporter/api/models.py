"""The API's answers, read tolerantly: what does not fit is left out and named, the rest stands."""

from __future__ import annotations

import json
import re
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field, fields
from datetime import UTC, datetime
from typing import Annotated, Any, TypeVar

from pydantic import (
    BeforeValidator,
    ConfigDict,
    Field,
    Strict,
    TypeAdapter,
    ValidationError,
    ValidationInfo,
    model_validator,
)
from pydantic.dataclasses import dataclass as answer
from pydantic_core import from_json

from exporter.api.errors import InvalidResponse

REVISION_VARIABLE = "TOGETHER_DEPLOYMENT_REVISION_ID"  # holds the deployment's current revision
READY_STATUS = "Running"  # with replica_ready_since set; "Running" alone is not ready yet
QUEUE_METRIC = "QueueBacklogPerWorker"  # the autoscaling metric that reads a queue
MAX_LABEL = 1024  # characters; what a label value may hold before it is cut
MAX_ENTRIES = 1000  # volumes, or environment variables, of one deployment
MAX_COUNT = 2**53  # above it a float is no longer exact
MOST_KNOWN = 10_000  # strings that are remembered; beyond it they are forgotten all at once
ZERO_TIME_YEAR = 1  # Go sends an unset time as 0001-01-01T00:00:00Z
# A NUL ends the input for Prometheus' text parser; a lone surrogate has no UTF-8 form.
_UNPRINTABLE = re.compile("[\x00\ud800-\udfff]")


class _Known(dict[str, str]):
    """One object for all strings that are equal: a fleet has few images, revisions and statuses."""

    def __missing__(self, text: str) -> str:
        if len(self) >= MOST_KNOWN:
            self.clear()
        self[text] = text
        return text


_KNOWN = _Known()


@dataclass(slots=True)
class Losses:
    """What reading an answer leaves out, as field names: `cut` values too long for a label, `over` the list entries
    beyond MAX_ENTRIES."""

    cut: list[str] = field(default_factory=list)
    over: list[str] = field(default_factory=list)


def _first_entries(value: object, info: ValidationInfo) -> object:
    if isinstance(value, list) and len(value) > MAX_ENTRIES:
        if isinstance(info.context, Losses):
            info.context.over += [info.field_name or ""] * (len(value) - MAX_ENTRIES)
        return value[:MAX_ENTRIES]
    return value


def _text(value: object, info: ValidationInfo) -> object:
    """A string fit for a label; None for an empty one, which Prometheus could not tell from absent.

    Too long a one is cut, and the field's name noted."""
    if not isinstance(value, str):
        return value
    if len(value) > MAX_LABEL:
        value = f"{value[: MAX_LABEL - 1]}…"
        if isinstance(info.context, Losses):
            info.context.cut.append(info.field_name or "replica_events")
    if not value.isascii() or "\0" in value:
        value = _UNPRINTABLE.sub("\ufffd", value)
    return _KNOWN[value] or None


def _unix_time(value: object) -> object:
    """Seconds since 1970 of an ISO 8601 string, UTC where it names no zone; None for an unset one."""
    if value is None or value == "":
        return None
    if not isinstance(value, str):
        raise ValueError("not a timestamp")
    moment = datetime.fromisoformat(value)
    if moment.year == ZERO_TIME_YEAR:
        return None
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()


Text = Annotated[str | None, BeforeValidator(_text)]
Count = Annotated[float, Strict(), Field(ge=0, le=MAX_COUNT)]
Number = Annotated[float, Strict(), Field(allow_inf_nan=False)]
Timestamp = Annotated[float | None, BeforeValidator(_unix_time)]
Entry = TypeVar("Entry")
Entries = Annotated[tuple[Entry, ...] | None, BeforeValidator(_first_entries)]


# Every field may be absent or null; fields this version does not know are passed over. Dataclasses, because a fleet of
# pydantic's models takes five times the memory.
_TOLERANT = ConfigDict(extra="ignore", hide_input_in_errors=True)


@answer(frozen=True, slots=True, config=_TOLERANT)
class Autoscaling:
    """The three autoscaling configurations of the API; their common fields are all that is shown."""

    metric: Text = None
    target: Number | None = None
    model: Text = None


@answer(frozen=True, slots=True, config=_TOLERANT)
class EnvironmentVariable:
    """A variable's name and the expiry of its secret. No value is kept but the revision's."""

    name: Text = None
    value: Text = Field(default=None, repr=False)
    value_from_secret_expires_at: Timestamp = None

    @model_validator(mode="before")
    @classmethod
    def _forget_the_value(cls, data: object) -> object:
        if isinstance(data, dict) and data.get("name") != REVISION_VARIABLE:
            return {key: value for key, value in data.items() if key != "value"}
        return data


@answer(frozen=True, slots=True, config=_TOLERANT)
class Volume:
    name: Text = None
    mount_path: Text = None
    version: Count | None = None


@answer(frozen=True, slots=True, config=_TOLERANT)
class Replica:
    """One value of `replica_events`."""

    image: Text = None
    replica_ready_since: Timestamp = None
    replica_status: Text = None
    replica_status_reason: Text = None
    revision_id: Text = None
    volume_preload_completed_at: Timestamp = None
    volume_preload_started_at: Timestamp = None
    volume_preload_status: Text = None

    @property
    def is_ready(self) -> bool:
        """Ready as the official client counts it: Running, and ready since some moment."""
        return self.replica_status == READY_STATUS and self.replica_ready_since is not None


@answer(frozen=True, slots=True, config=_TOLERANT)
class Deployment:
    """`GET /deployments/{id}`, and one item of `GET /deployments`."""

    autoscaling: Autoscaling | None = None
    capacity_type: Text = None
    cpu: Annotated[Number, Field(ge=0)] | None = None
    created_at: Timestamp = None
    desired_replicas: Count | None = None
    environment_variables: Entries[EnvironmentVariable] = None
    gpu_count: Count | None = None
    gpu_type: Text = None
    id: Text = None
    image: Text = None
    max_replicas: Count | None = None
    memory: Annotated[Number, Field(ge=0)] | None = None
    min_replicas: Count | None = None
    name: Text = None
    ready_replicas: Count | None = None
    replica_events: dict[Annotated[str, BeforeValidator(_text)], Replica] | None = None
    status: Text = None
    storage: Annotated[Number, Field(ge=0)] | None = None
    updated_at: Timestamp = None
    volumes: Entries[Volume] = None

    @property
    def revision(self) -> str | None:
        """The current revision, from the environment variable that carries it; None where it is not sent."""
        variables = self.environment_variables or ()
        return next((v.value for v in variables if v.name == REVISION_VARIABLE), None)

    @property
    def queue_model(self) -> str | None:
        """The model whose queue scales this deployment; None where no queue does."""
        scaling = self.autoscaling
        if scaling is None or scaling.metric != QUEUE_METRIC:
            return None
        return scaling.model or self.name


DEPLOYMENT_KEYS = frozenset({"object", *(f.name for f in fields(Deployment))})


@answer(frozen=True, slots=True, config=_TOLERANT)
class Queue:
    """`GET /queue/metrics`."""

    messages_waiting: Count | None = None
    messages_running: Count | None = None


Answer = TypeVar("Answer", Deployment, Queue)
_DEPLOYMENT, _QUEUE = TypeAdapter(Deployment), TypeAdapter(Queue)


@dataclass(frozen=True, slots=True)
class Reading:
    """A deployment and what of it could not be read, one path for each value, such as `volumes.*.version`.

    `losses`: what of it was too long."""

    deployment: Deployment
    refused: tuple[str, ...] = ()
    losses: Losses = field(default_factory=Losses)

    @property
    def is_whole(self) -> bool:
        """Whether nothing of it was left out."""
        return not (self.refused or self.losses.cut or self.losses.over)


def read_deployment(body: bytes) -> Reading:
    """One deployment from a response body. Raises InvalidResponse where the body is no JSON object, or one of
    something else: an error in a 200, say, must not pass for a deployment of which nothing is known any more."""
    raw = _object(_json(body))
    if raw.keys().isdisjoint(DEPLOYMENT_KEYS):
        raise InvalidResponse("the answer has none of a deployment's fields")
    return read_object(raw)


def read_queue(body: bytes) -> Queue:
    """A queue's counts. Raises InvalidResponse where the body is no JSON object."""
    return _tolerant(_QUEUE, _object(_json(body)), Losses())[0]


def _json(body: bytes) -> object:
    try:
        return from_json(body)
    except ValueError:
        return _lenient_json(body)


def _lenient_json(body: bytes) -> object:
    """Python's own parser: slower, but one odd string or number in a list must not cost the others."""
    try:
        return json.loads(body.decode(errors="replace"), parse_int=any_int)
    except (ValueError, RecursionError):
        raise InvalidResponse("the answer is not JSON") from None


def any_int(digits: str) -> float:
    """A JSON integer of any length; one that no counter can have becomes a float, or infinity."""
    return int(digits) if len(digits) < 19 else float(digits)  # noqa: PLR2004 - 19 digits leave 64 bits


def _object(value: object) -> dict[str, Any]:
    if isinstance(value, dict):
        return value
    raise InvalidResponse(f"the answer is a JSON {type(value).__name__}, not an object")


def read_object(raw: dict[str, Any]) -> Reading:
    """One deployment from its JSON object."""
    losses = Losses()
    deployment, refused = _tolerant(_DEPLOYMENT, raw, losses)
    return Reading(deployment, refused, losses)


def _tolerant(model: TypeAdapter[Answer], raw: dict[str, Any], losses: Losses) -> tuple[Answer, tuple[str, ...]]:
    """The model, and the paths of the values it was read without because they do not fit; fills `losses`.

    Where it still does not fit without them, the fields that they are in go whole."""
    refused: list[tuple[Any, ...]] = []
    rest = raw
    for depth in (None, None, 1, 1):
        try:
            return model.validate_python(rest, context=losses), tuple(_field(path) for path in refused)
        except ValidationError as error:
            problems = error.errors(include_url=False, include_context=False, include_input=False)
        losses.cut, losses.over = [], []
        if any(problem["type"] == "string_unicode" for problem in problems):
            rest = _with_printable_keys(rest)  # an odd name of a field that this version does not know
            continue
        wrong = sorted({_known_part(rest, problem["loc"])[:depth] for problem in problems}, key=str)
        refused += wrong
        rest = _without(rest, wrong)
    raise InvalidResponse("the answer fits in no way")


def _field(path: tuple[Any, ...]) -> str:
    """The path in the API's own words: `*` for list positions and for replica names, which come and go."""
    named = path[0] == "replica_events"
    steps = ["*" if isinstance(step, int) or (named and depth == 1) else step for depth, step in enumerate(path)]
    return ".".join(steps)


def _known_part(raw: Any, path: tuple[Any, ...]) -> tuple[Any, ...]:
    """As much of pydantic's path as exists in the answer; for a dict's key it appends a word of its own."""
    for depth, step in enumerate(path):
        try:
            raw = raw[step]
        except (KeyError, IndexError, TypeError):
            return path[:depth]
    return path


def _with_printable_keys(raw: Any) -> Any:
    if isinstance(raw, dict):
        return {_UNPRINTABLE.sub("\ufffd", key): _with_printable_keys(value) for key, value in raw.items()}
    return [_with_printable_keys(value) for value in raw] if isinstance(raw, list) else raw


def _without(raw: Any, paths: Iterable[tuple[Any, ...]]) -> Any:
    """A copy of the answer that lacks the values at the paths."""
    below: dict[Any, list[tuple[Any, ...]]] = defaultdict(list)
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
