"""Models of API responses: valid values of each field, and what is omitted."""

from __future__ import annotations

import re
import sys
from dataclasses import dataclass, fields
from typing import Annotated, Literal, TypeVar, get_args

from pydantic import (
    BeforeValidator,
    ConfigDict,
    Field,
    PlainValidator,
    Strict,
    ValidationInfo,
    model_validator,
)
from pydantic.dataclasses import dataclass as answer

from exporter.api.times import parse_time

DropReason = Literal[
    "replica_limit", "deployment_limit", "duplicate_deployment", "invalid_value", "label_length_limit", "entry_limit"
]
DROP_REASONS: tuple[DropReason, ...] = get_args(DropReason)

REVISION_VARIABLE = "TOGETHER_DEPLOYMENT_REVISION_ID"  # its value is the current revision
READY_STATUS = "Running"  # together with replica_ready_since; "Running" alone is not ready
QUEUE_METRIC = "QueueBacklogPerWorker"  # the autoscaling metric of queues
MAX_LABEL = 1024  # characters of a label value
MAX_MESSAGE = 300  # characters of a replica's message, for the status page
MAX_ENTRIES = 1000  # volumes, model mounts or environment variables of one deployment
MAX_COUNT = 2**53  # exact as a float, and far below the overflow of GiB in bytes
# Control characters other than line feed, which the format escapes: some parsers end a line there. Lone surrogates
# cannot be encoded in UTF-8.
_UNPRINTABLE = re.compile("[\x00-\x09\x0b-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")
_NUMBER = re.compile(r"[+-]?[0-9]+(\.[0-9]*)?([eE][+-]?[0-9]+)?")


@dataclass(frozen=True, slots=True)
class Dropped:
    """A part of a response that /metrics omits. `field`: its path in the API's terms; empty for the whole. `reason`: a
    label value of together_project_items_dropped."""

    reason: DropReason
    field: str = ""
    count: int = 1


def _first_entries(value: object, info: ValidationInfo) -> object:
    if isinstance(value, list) and len(value) > MAX_ENTRIES:
        _note(info, "entry_limit", len(value) - MAX_ENTRIES)
        return value[:MAX_ENTRIES]
    return value


def _text(value: object, info: ValidationInfo) -> object:
    """Returns a valid label value. Empty strings become None, because Prometheus does not distinguish them from absent
    labels."""
    if not isinstance(value, str):
        return value
    if len(value) > MAX_LABEL:
        value = f"{value[: MAX_LABEL - 1]}…"
        _note(info, "label_length_limit")
    # Interned: a fleet has few images, revisions and statuses.
    return sys.intern(printable(value)) or None


def printable(text: str) -> str:
    """Replaces control characters except line feed, and lone surrogates."""
    return text if text.isprintable() else _UNPRINTABLE.sub("\N{REPLACEMENT CHARACTER}", text)


def _message(value: object) -> object:
    if not isinstance(value, str):
        return value
    return printable(value if len(value) <= MAX_MESSAGE else f"{value[: MAX_MESSAGE - 1]}…") or None


def _number(value: object) -> object:
    """Accepts numbers in strings, which the API's documentation uses too."""
    return float(value) if isinstance(value, str) and _NUMBER.fullmatch(value) else value


def _unix_time(value: object) -> object:
    """Returns seconds since 1970; None for an unset time. Raises ValueError for invalid times."""
    if value is None or value == "":
        return None
    if not isinstance(value, str):
        raise ValueError("not a timestamp")
    return parse_time(value)


def _ready_since(value: object, info: ValidationInfo) -> float | str | None:
    """A plain string in the API's schema. Any value means that the replica is ready, even if it is not a valid time."""
    if not value:
        return None
    try:
        unix = parse_time(str(value))
        return UNREADABLE if unix is None else unix
    except ValueError:
        _note(info, "invalid_value")
        return UNREADABLE


def _replica_name(value: object, info: ValidationInfo) -> object:
    text = _text(value, info)
    if text is None:
        _note(info, "invalid_value")
    return text or NAMELESS


def _note(info: ValidationInfo, reason: DropReason, count: int = 1) -> None:
    if isinstance(info.context, Context):
        info.context.noted.append(Dropped(reason, info.field_name or "replica_events", count))


@dataclass(frozen=True, slots=True)
class Context:
    """`variables`: environment variables whose values are kept. `noted`: what was omitted while reading."""

    variables: frozenset[str]
    noted: list[Dropped]


NAMELESS = "\N{REPLACEMENT CHARACTER}"  # a replica without a name
UNREADABLE = "unreadable"  # a time that is set but invalid
Text = Annotated[str | None, BeforeValidator(_text)]
Message = Annotated[str | None, BeforeValidator(_message)]
Number = Annotated[float, Strict(), Field(allow_inf_nan=False), BeforeValidator(_number)]
Count = Annotated[float, Strict(), Field(ge=0, le=MAX_COUNT), BeforeValidator(_number)]
Timestamp = Annotated[float | None, BeforeValidator(_unix_time)]
ReadySince = Annotated[float | str | None, PlainValidator(_ready_since)]
Entry = TypeVar("Entry")
Entries = Annotated[tuple[Entry, ...] | None, BeforeValidator(_first_entries)]


# All fields may be absent or null; unknown fields are ignored. Dataclasses, because pydantic's models need five times
# the memory.
_TOLERANT = ConfigDict(extra="ignore", hide_input_in_errors=True)


@answer(frozen=True, slots=True, config=_TOLERANT)
class Autoscaling:
    """The API's three autoscaling configurations combined. `model`: name of the queue, for scaling by queue only."""

    metric: Text = None
    target: Number | None = None
    model: Text = None
    custom_metric_name: Text = None


@answer(frozen=True, slots=True, config=_TOLERANT)
class EnvironmentVariable:
    """Name of a variable, with name and expiry of its secret. Only the values of the revision and of configured
    variables are kept, and never one next to a secret."""

    name: Text = None
    value: Text = Field(default=None, repr=False)
    value_from_secret: Text = None
    value_from_secret_expires_at: Timestamp = None

    @model_validator(mode="before")
    @classmethod
    def _forget_the_value(cls, data: object, info: ValidationInfo) -> object:
        if not isinstance(data, dict) or "value" not in data:
            return data
        kept = info.context.variables if isinstance(info.context, Context) else frozenset()
        name = data.get("name")
        if name == REVISION_VARIABLE or (isinstance(name, str) and name in kept and not data.get("value_from_secret")):
            return data
        return {key: value for key, value in data.items() if key != "value"}


@answer(frozen=True, slots=True, config=_TOLERANT)
class Volume:
    name: Text = None
    mount_path: Text = None
    version: Count | None = None


@answer(frozen=True, slots=True, config=_TOLERANT)
class ModelMount:
    model_id: Text = None
    mount_path: Text = None
    revision_id: Text = None


@answer(frozen=True, slots=True, config=_TOLERANT)
class Replica:
    """A value of `replica_events`."""

    image: Text = None
    replica_ready_since: ReadySince = None
    replica_status: Text = None
    replica_status_message: Message = None
    replica_status_reason: Text = None
    revision_id: Text = None
    volume_preload_completed_at: Timestamp = None
    volume_preload_started_at: Timestamp = None
    volume_preload_status: Text = None

    @property
    def is_ready(self) -> bool:
        """Ready as in the official client: Running with any value in replica_ready_since."""
        return self.replica_status == READY_STATUS and self.replica_ready_since is not None

    @property
    def ready_timestamp(self) -> float | None:
        """Seconds since 1970; None if replica_ready_since is unset or not a valid time."""
        return None if isinstance(self.replica_ready_since, str) else self.replica_ready_since


ReplicaName = Annotated[str, BeforeValidator(_replica_name)]


@answer(frozen=True, slots=True, config=_TOLERANT)
class Deployment:
    """`GET /deployments/{id}`, or an item of `GET /deployments`. A replica that is None is listed, but nothing about it
    can be read."""

    autoscaling: Autoscaling | None = None
    capacity_type: Text = None
    cpu: Count | None = None
    created_at: Timestamp = None
    desired_replicas: Count | None = None
    environment_variables: Entries[EnvironmentVariable] = None
    gpu_count: Count | None = None
    gpu_type: Text = None
    id: Text = None
    image: Text = None
    max_replicas: Count | None = None
    memory: Count | None = None
    min_replicas: Count | None = None
    model_mounts: Entries[ModelMount] = None
    name: Text = None
    ready_replicas: Count | None = None
    replica_events: dict[ReplicaName, Replica | None] | None = None
    status: Text = None
    storage: Count | None = None
    updated_at: Timestamp = None
    volumes: Entries[Volume] = None

    @property
    def replicas(self) -> tuple[Replica, ...]:
        """Listed replicas that can be read."""
        return tuple(replica for replica in (self.replica_events or {}).values() if replica is not None)

    @property
    def replica_statuses(self) -> tuple[str | None, ...]:
        """Of all listed replicas; None where it is unknown."""
        listed = (self.replica_events or {}).values()
        return tuple(None if replica is None else replica.replica_status for replica in listed)

    @property
    def revision(self) -> str | None:
        """The current revision, from an environment variable; None if it is not sent."""
        variables = self.environment_variables or ()
        return next((v.value for v in variables if v.name == REVISION_VARIABLE), None)

    @property
    def plain_variables(self) -> dict[str, str]:
        """Kept values by variable."""
        return {v.name: v.value for v in self.environment_variables or () if v.name is not None and v.value is not None}

    @property
    def queue(self) -> str | None:
        """Name of the queue that scales this deployment, or None."""
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


@answer(frozen=True, slots=True, config=_TOLERANT)
class Revision:
    """An item of `GET /deployments/{id}/revisions`."""

    action: Text = None
    activated_at: Timestamp = None
    image: Text = None
    revision_id: Text = None
    revision_number: Count | None = None
