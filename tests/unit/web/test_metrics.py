"""`/metrics` as scrapers ask for it, over a real socket."""

from __future__ import annotations

import gzip
from collections.abc import Awaitable, Callable

import httpx
import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families as openmetrics
from prometheus_client.parser import text_string_to_metric_families as plain

from exporter.metrics.render import Renderer
from exporter.self_metrics import SelfMetrics
from exporter.web.metrics import PIECE, MetricsEndpoint
from exporter.web.publisher import Publisher
from tests.pipeline import at, run
from tests.unit.status.facts import fleet_of, replica, well
from tests.unit.web.asgi import raw, serving

OPENMETRICS = "application/openmetrics-text; version=1.0.0"
SMALL, LARGE = 2, 300
Test = Callable[[httpx.AsyncClient], Awaitable[None]]


def check(test: Test, *, deployments: int = SMALL) -> None:
    """Runs a test against a fleet of so many deployments."""

    async def against() -> None:
        metrics = SelfMetrics(runtime=False)
        metrics.start_project("p", 30.0, ("list",))
        events = {f"r{number}": replica() for number in range(10)}
        store = await fleet_of(*(well(f"d{number}", replica_events=events) for number in range(deployments)))
        publisher = Publisher(Renderer({"h100": 2.5}), store, metrics, lambda: at(100))
        await publisher.render()
        async with serving(MetricsEndpoint(publisher, metrics)) as client:
            await test(client)

    run(against())


@pytest.mark.parametrize("deployments", [0, SMALL, LARGE])
@pytest.mark.parametrize("accept", ["", OPENMETRICS], ids=["text", "openmetrics"])
def test_the_gzip_form_is_the_plain_one(accept: str, deployments: int) -> None:
    async def test(client: httpx.AsyncClient) -> None:
        identity, text = await raw(client, "/metrics", accept=accept, **{"accept-encoding": "identity"})
        zipped, body = await raw(client, "/metrics", accept=accept, **{"accept-encoding": "gzip"})
        assert "content-encoding" not in identity.headers
        assert zipped.headers["content-encoding"] == "gzip"
        assert gzip.decompress(body) == text
        for answer, sent in ((identity, text), (zipped, body)):
            assert answer.status_code == 200
            assert int(answer.headers["content-length"]) == len(sent)
            assert answer.headers["vary"] == "Accept, Accept-Encoding"
        if deployments == LARGE:
            assert len(text) > 2 * PIECE, "the answer is sent in pieces"

    check(test, deployments=deployments)


def test_the_text_format_is_what_prometheus_reads() -> None:
    async def test(client: httpx.AsyncClient) -> None:
        answer = await client.get("/metrics")
        assert answer.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
        families = {family.name: family for family in plain(answer.text)}
        assert len(families["together_deployment_poll_success"].samples) == SMALL
        assert {"together_gpu_hourly_cost", "together_exporter_build_info", "together_exporter_polls"} <= set(families)

    check(test)


def test_openmetrics_ends_with_eof_and_names_units() -> None:
    async def test(client: httpx.AsyncClient) -> None:
        answer = await client.get("/metrics", headers={"accept": OPENMETRICS})
        assert answer.headers["content-type"] == f"{OPENMETRICS}; charset=utf-8"
        assert answer.text.endswith("\n# EOF\n")
        assert answer.text.count("# EOF") == 1
        assert "# UNIT together_exporter_poll_interval_seconds seconds\n" in answer.text
        families = {family.name for family in openmetrics(answer.text)}  # type: ignore[no-untyped-call]  # no annotations
        assert {"together_deployment_status", "together_exporter_polls_missed"} <= families

    check(test)


@pytest.mark.parametrize("encoding", ["identity", "gzip"])
@pytest.mark.parametrize("path", ["/metrics", "/metrics?name[]=together_gpu_hourly_cost"])
@pytest.mark.parametrize("accept", ["", OPENMETRICS], ids=["text", "openmetrics"])
def test_head_has_the_headers_of_get_and_no_body(encoding: str, path: str, accept: str) -> None:
    async def test(client: httpx.AsyncClient) -> None:
        headers = {"accept": accept, "accept-encoding": encoding}
        head = await client.head(path, headers=headers)
        get, body = await raw(client, path, **headers)
        assert (head.status_code, head.content) == (200, b"")
        for name in ("content-type", "content-length", "content-encoding", "vary"):
            assert head.headers.get(name) == get.headers.get(name)
        assert int(head.headers["content-length"]) == len(body)

    check(test)


NAMES: dict[str, tuple[list[str], set[str]]] = {
    "one of a deployment": (["together_deployment_poll_success"], {"together_deployment_poll_success"}),
    "several, of all sources": (
        ["together_gpu_hourly_cost", "together_exporter_build_info", "together_exporter_poll_interval_seconds"],
        {"together_gpu_hourly_cost", "together_exporter_build_info", "together_exporter_poll_interval_seconds"},
    ),
    "a counter": (["together_deployment_readiness_lost_total"], {"together_deployment_readiness_lost_total"}),
    "one of our own counters": (["together_exporter_polls_total"], {"together_exporter_polls_total"}),
    "a part of a summary": (
        ["together_deployment_replica_startup_seconds_sum"],
        {"together_deployment_replica_startup_seconds_sum", "together_deployment_replica_startup_seconds_count"},
    ),
    "unknown": (["nope"], set()),
    "unknown beside known": (["nope", "together_gpu_hourly_cost"], {"together_gpu_hourly_cost"}),
}


@pytest.mark.parametrize("encoding", ["identity", "gzip"])
@pytest.mark.parametrize(("names", "series"), NAMES.values(), ids=NAMES)
def test_name_chooses_families(names: list[str], series: set[str], encoding: str) -> None:
    async def test(client: httpx.AsyncClient) -> None:
        answer = await client.get("/metrics", params={"name[]": names}, headers={"accept-encoding": encoding})
        samples = [line for line in answer.text.splitlines() if not line.startswith("#")]
        assert {line.partition("{")[0].partition(" ")[0] for line in samples} == series
        complete = await client.get("/metrics")
        assert set(samples) <= set(complete.text.splitlines())

    check(test)


def test_name_in_openmetrics_ends_too() -> None:
    async def test(client: httpx.AsyncClient) -> None:
        answer = await client.get("/metrics?name[]=together_gpu_hourly_cost", headers={"accept": OPENMETRICS})
        (family,) = openmetrics(answer.text)  # type: ignore[no-untyped-call]  # no annotations
        assert family.name == "together_gpu_hourly_cost"

    check(test)


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS"])
def test_other_methods_are_refused(method: str) -> None:
    async def test(client: httpx.AsyncClient) -> None:
        answer = await client.request(method, "/metrics")
        assert (answer.status_code, answer.headers["allow"]) == (405, "GET, HEAD")

    check(test)
