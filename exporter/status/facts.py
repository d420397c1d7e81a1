"""Input of a status report. Separate, because a report's models take long to import."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from exporter.state.instant import Instant
from exporter.state.records import Snapshot


@dataclass(frozen=True, slots=True)
class ProjectFacts:
    """A configured project and its poll times: seconds since 1970, None without a poll. `is_polled_here`: False if all
    its deployments belong to other shards."""

    name: str
    base_url: str
    fetch: Literal["each", "list"]
    poll_interval: float
    last_poll: float | None
    next_poll: float | None
    is_polled_here: bool = True


@dataclass(frozen=True, slots=True)
class Facts:
    """Input of a report. `started`: seconds since 1970."""

    version: str
    now: Instant
    started: float
    configuration_error: str | None
    shard: tuple[int, int]
    projects: tuple[ProjectFacts, ...]
    snapshot: Snapshot
    prices: Mapping[str, float]
