"""The two answers as they are asked for over HTTP."""

from __future__ import annotations

import asyncio
import gzip
import json

import httpx

from exporter.self_metrics import SelfMetrics
from exporter.status.facts import Facts
from exporter.web.limit import RequestLimit
from exporter.web.refusals import Refusals
from exporter.web.status import StatusReports, build
from tests.pipeline import run
from tests.unit.status.facts import facts_of, fleet_of, well


class CountedFacts:
    """How often it was asked what is known."""

    def __init__(self, fresh: float = 60.0) -> None:
        self.times = 0
        self.reports = StatusReports(self.facts, "/metrics", fresh)

    async def facts(self) -> Facts:
        self.times += 1
        return await facts_of(await fleet_of(well(f"turn-{self.times}")))

    async def get(self, path: str) -> httpx.Response:
        async with client(self) as web:
            return await web.get(path)


def client(source: CountedFacts) -> httpx.AsyncClient:
    return httpx.AsyncClient(transport=httpx.ASGITransport(build(source.reports)), base_url="http://exporter")


def test_however_many_ask_it_is_made_once() -> None:
    async def test() -> None:
        source = CountedFacts()
        answers = await asyncio.gather(*(source.get(path) for path in ("/", "/api/v1/status", "/?filter=turn") * 5))
        assert {answer.status_code for answer in answers} == {200}
        assert source.times == 1

    run(test())


def test_it_is_made_anew_when_it_is_no_longer_fresh() -> None:
    async def test() -> None:
        source = CountedFacts(fresh=0.0)
        assert "turn-1" in (await source.get("/")).text
        assert "turn-2" in (await source.get("/")).text

    run(test())


def test_both_say_what_they_are_and_are_not_to_be_kept() -> None:
    async def test() -> None:
        page, status = [await CountedFacts().get(path) for path in ("/", "/api/v1/status")]
        assert page.headers["content-type"] == "text/html; charset=utf-8"
        assert status.headers["content-type"] == "application/json"
        assert {answer.headers["cache-control"] for answer in (page, status)} == {"no-store"}
        assert [d["deployment"] for d in status.json()["deployments"]] == ["turn-1"]

    run(test())


def test_gzip_for_those_who_take_it() -> None:
    async def test() -> None:
        asked = {"Accept-Encoding": "gzip"}
        async with client(CountedFacts()) as web, web.stream("GET", "/api/v1/status", headers=asked) as answer:
            raw = b"".join([piece async for piece in answer.aiter_raw()])
        assert answer.headers["content-encoding"] == "gzip"
        assert int(answer.headers["content-length"]) == len(raw)
        assert json.loads(gzip.decompress(raw))["version"] == "1.2.3"

    run(test())


def test_what_is_asked_wrongly() -> None:
    async def test() -> None:
        async with client(CountedFacts()) as web:
            assert (await web.post("/")).status_code == 405
            head = await web.head("/")
            assert (head.status_code, head.content) == (200, b"")

    run(test())


def test_only_so_many_at_a_time() -> None:
    async def test() -> None:
        own = SelfMetrics()
        limited = RequestLimit(build(CountedFacts().reports), 1, Refusals(own), "page_limit")
        async with httpx.AsyncClient(transport=httpx.ASGITransport(limited), base_url="http://exporter") as web:
            answers = await asyncio.gather(web.get("/"), web.get("/api/v1/status"))
            assert [answer.status_code for answer in answers] == [200, 503]
            assert answers[1].headers["retry-after"] == "1"
            assert (await web.get("/")).status_code == 200
        refused = {"reason": "page_limit"}
        counted = own.live.get_sample_value("together_exporter_http_clients_refused_total", refused)
        assert counted == 1

    run(test())
