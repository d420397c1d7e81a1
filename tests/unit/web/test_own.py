from __future__ import annotations

import asyncio
import re
from collections.abc import Callable
from typing import Any

import httpx
import pytest
from prometheus_client import CollectorRegistry, Gauge, generate_latest
from prometheus_client.openmetrics.exposition import generate_latest as generate_openmetrics

from exporter.counted import changes
from exporter.instrumentation import Instrumentation
from exporter.metrics.exposition import Exposition
from exporter.records import Instant
from exporter.runtime import Runtime
from exporter.store import Store
from exporter.web.metrics import MAX_STORED, MetricsEndpoint
from exporter.web.own import OwnMetrics, Registries
from exporter.web.rendering import Rendering

WRITES: list[Callable[[Instrumentation], Any]] = [
    lambda i: i.start_project("p", ("list",), ("timeout",)),
    lambda i: i.polls.labels("p", "list").inc(),
    lambda i: i.polls_missed.inc(3),
    lambda i: i.poll_duration.labels("p", "list").observe(0.3),
    lambda i: i.api_requests.labels("p", "418"),
    lambda i: i.reload_successful.set(1),
    lambda i: i.shard_info.labels(1, 2).set(1),
    lambda i: i.shard_info.clear(),
    lambda i: i.polls.remove("p", "list"),
    lambda i: i.end_project("p"),
]


def own(instrumentation: Instrumentation) -> OwnMetrics:
    return OwnMetrics(Registries(instrumentation.registry, instrumentation.live, changes))


def test_every_kind_of_write_is_in_the_text() -> None:
    instrumentation = Instrumentation(runtime=False)
    metrics = own(instrumentation)
    texts = []
    for write in WRITES:
        write(instrumentation)
        texts.append(metrics.text("text")[0])
        assert texts[-1] == generate_latest(instrumentation.registry)
        counted, live = metrics.text("openmetrics")
        assert counted + b"# EOF\n" == generate_openmetrics(instrumentation.registry)  # type: ignore[no-untyped-call]  # has none
        assert live.endswith(b"# EOF\n")
    assert len(set(texts)) > len(WRITES) / 2


def test_what_is_not_written_to_is_not_put_in_text_again() -> None:
    instrumentation = Instrumentation(runtime=False)
    metrics = own(instrumentation)
    assert metrics.text("text")[0] is metrics.text("text")[0]


def without_values(text: bytes) -> str:
    return re.sub(r"^([a-z].*) \S+$", r"\1", text.decode(), flags=re.MULTILINE)


def numbers(text: bytes, name: str) -> list[float]:
    return [float(line.split()[1]) for line in text.decode().splitlines() if re.match(rf"{name}[{{ ]", line)]


@pytest.mark.parametrize("format_", ["text", "openmetrics"])
def test_the_short_way_to_the_process_metrics_says_what_prometheus_client_says(format_: Any) -> None:
    instrumentation = Instrumentation()
    metrics = own(instrumentation)
    for _ in range(2):
        short = metrics.text(format_)[1]
        long = (
            generate_latest(instrumentation.live) if format_ == "text" else generate_openmetrics(instrumentation.live)  # type: ignore[no-untyped-call]  # has no annotations
        )
        assert without_values(short) == without_values(long)
        for name in ("process_resident_memory_bytes", "process_virtual_memory_bytes", "process_cpu_seconds_total"):
            assert numbers(short, name) == pytest.approx(numbers(long, name), rel=0.2)
        for name in ("process_start_time_seconds", "process_max_fds"):
            assert numbers(short, name) == numbers(long, name)
        assert numbers(short, "process_open_fds") == pytest.approx(numbers(long, "process_open_fds"), abs=3)
        assert len(numbers(short, "python_gc_collections_total")) == 3


@pytest.mark.parametrize("problem", [OSError("no files left"), KeyError("process_new_seconds")])
def test_where_the_short_way_is_barred_prometheus_client_is_asked(
    problem: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    instrumentation = Instrumentation()
    metrics = own(instrumentation)
    expected = without_values(metrics.text("text")[1])

    def barred(_: Runtime) -> dict[str, float]:
        raise problem

    monkeypatch.setattr(Runtime, "values", barred)
    assert without_values(metrics.text("text")[1]) == expected


@pytest.mark.parametrize("length", [0, 1, MAX_STORED, 3 * MAX_STORED])
def test_what_is_live_is_in_the_gzip_form_too(length: int) -> None:
    live = CollectorRegistry()
    if length:
        Gauge("long", "x" * length, registry=live)
    store, exposition = Store(), Exposition({})
    rendering = Rendering(lambda: exposition, lambda: store.view(Instant(0, 0)))
    counted = Instrumentation(runtime=False).registry
    endpoint = MetricsEndpoint(rendering, OwnMetrics(Registries(counted, live, changes)))

    async def bodies() -> list[bytes]:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(endpoint)) as client:
            answers = [await client.get("http://x/", headers={"accept-encoding": e}) for e in ("gzip", "identity")]
            assert [answer.headers.get("content-encoding") for answer in answers] == ["gzip", None]
            return [answer.content for answer in answers]

    packed, plain = asyncio.run(bodies())
    assert packed == plain == generate_latest(counted) + generate_latest(live)
