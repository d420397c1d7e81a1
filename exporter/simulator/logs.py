"""Container logs: lines about what happened to a replica."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from exporter.simulator.replica import Replica

REQUEST_INTERVAL = 10.0  # simulated seconds between two requests that a ready replica logs
MAX_REQUESTS = 20  # lines of each replica

LINES: dict[str, tuple[str, ...]] = {
    "ContainerCreating": (),  # no container exists yet
    "started": ("INFO  loading model", "INFO  model loaded, waiting for the first health check"),
    "ready": ("INFO  serving on 0.0.0.0:8000", "INFO  GET /health 200"),
    "crashed": (
        "ERROR Traceback (most recent call last):",
        'ERROR   File "/app/serve.py", line 88, in load',
        "ERROR RuntimeError: CUDA error: device-side assert triggered",
        "INFO  exited with code 1",
    ),
    "oom-killed": ("WARN  memory usage at 98% of the limit", "INFO  killed by signal 9 (exit code 137)"),
    "unready": ("WARN  worker queue is full", "INFO  GET /health 503"),
    "draining": ("INFO  received SIGTERM, finishing 2 requests",),
    "Completed": ("INFO  exited with code 0",),
    "Evicted": ("INFO  killed by signal 15 (evicted)",),
    "Preempted": ("INFO  killed by signal 15 (preempted)",),
}
NEVER_STARTED = 'container "app" in pod "{replica}" is waiting to start: {reason}'


@dataclass(frozen=True, slots=True)
class Filter:
    """`version`: tag of an image, or the last 4 characters of its digest. None matches everything."""

    replica_id: str | None = None
    revision: str | None = None
    version: str | None = None

    def matches(self, replica: Replica) -> bool:
        return (
            self.replica_id in {None, replica.name}
            and self.revision in {None, replica.revision}
            and self.version in {None, _version(replica.image)}
        )


@dataclass(frozen=True, slots=True)
class Line:
    """`at`: simulated seconds."""

    at: float
    replica: str
    text: str


def lines(replicas: Iterable[Replica], wanted: Filter, now: float) -> list[Line]:
    """Returns lines in chronological order. `now`: simulated seconds."""
    found = [line for replica in replicas if wanted.matches(replica) for line in _lines(replica, now)]
    return sorted(found, key=lambda line: line.at)


def _version(image: str) -> str:
    name, _, digest = image.partition("@")
    return digest[-4:] if digest else name.rpartition("/")[2].partition(":")[2]


def _lines(replica: Replica, now: float) -> Iterator[Line]:
    for at, event in replica.log:
        for text in LINES.get(event, (NEVER_STARTED.format(replica=replica.name, reason=event),)):
            yield Line(at, replica.name, text)
    if replica.is_ready and replica.log:
        yield from _requests(replica, replica.log[-1][0], now)


def _requests(replica: Replica, since: float, now: float) -> Iterator[Line]:
    served = int((now - since) / REQUEST_INTERVAL)
    for number in range(max(1, served - MAX_REQUESTS + 1), served + 1):
        yield Line(since + number * REQUEST_INTERVAL, replica.name, f"INFO  POST /generate 200 request={number}")
