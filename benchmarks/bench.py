"""Benchmarks of scrapes, polls and idle time, each relative to a baseline measured in the same run."""

from __future__ import annotations

import argparse
import asyncio
import gc
import gzip
import http.client
import json
import statistics
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path

import uvloop
from prometheus_client import generate_latest

from benchmarks import api, processes
from benchmarks.asgi import registry_of
from benchmarks.fleet import answer
from benchmarks.processes import GZIP, PLAIN, fetch, processor_time
from benchmarks.soak import resident
from benchmarks.table import HEADER, Row, absolute, compared, pairs, timed
from exporter import log
from exporter.api.client import Client, Endpoint
from exporter.api.listing import ListReader
from exporter.api.rate_limit import RateLimit
from exporter.app import GARBAGE_THRESHOLDS
from exporter.metrics.page import Page
from exporter.metrics.render import Renderer
from exporter.polling.plan import Plan
from exporter.polling.poller import Poller
from exporter.polling.reporting import Reporter
from exporter.self_metrics import SelfMetrics
from exporter.state.instant import Instant
from exporter.state.projects import after_list
from exporter.state.records import Target
from exporter.state.store import Store
from exporter.web.publisher import Publisher

OUTPUT_FOLDER = Path(__file__).parents[1] / ".bench"  # baseline programs and results
MB = 1e6
SCRAPES = 500  # number of scrapes to average over


async def _key() -> str:
    return "k"


def getter(address: str, path: str, headers: dict[str, str]) -> Callable[[], float]:
    """Times requests over a keep-alive connection."""
    connection = http.client.HTTPConnection(address, timeout=60)

    def get() -> float:
        began = time.perf_counter()
        status, _ = fetch(connection, path, headers)
        assert status == http.client.OK
        return time.perf_counter() - began

    return get


def scrapes(size: int, rounds: int) -> Iterator[Row]:
    """Baseline: nginx serving the same bytes; no changes."""
    with folder() as place, processes.api(place, size) as api, processes.exporter(place, api, "1h") as (ours, _):
        page, packed = (fetch(http.client.HTTPConnection(ours), "/metrics", form)[1] for form in (PLAIN, GZIP))
        assert gzip.decompress(packed).count(b"\n") == page.count(b"\n")
        with processes.nginx(place, page, packed) as theirs:
            for name, path, form in (("plain", "/page", PLAIN), ("gzip", "/packed", GZIP)):
                measured = pairs(getter(ours, "/metrics", form), getter(theirs, path, form), rounds)
                label = f"scrape of {size:,} deployments, nothing changed, {name}, against nginx"
                yield compared(label, measured, "ms", most=1.5)


def scrape_processor_time(size: int, most: float) -> Iterator[Row]:
    """Of the exporter, over many scrapes; nothing changes."""
    with folder() as place, processes.api(place, size) as api, processes.exporter(place, api, "1h") as (ours, pid):
        get = getter(ours, "/metrics", GZIP)
        get()
        before = processor_time(pid)
        for _ in range(SCRAPES):
            get()
        took = 1000 * (processor_time(pid) - before) / SCRAPES
        yield absolute(f"processor time of a scrape, nothing changed, gzip, {size:,} deployments", took, "ms", most)


def against_a_plain_exporter(size: int, rounds: int) -> Iterator[Row]:
    """The same series on the same server, behind prometheus_client's own application."""
    with folder() as place, processes.api(place, size) as api, processes.exporter(place, api, "1h") as (ours, _):
        page = place / "page.txt"
        page.write_bytes(fetch(http.client.HTTPConnection(ours), "/metrics", PLAIN)[1])
        with processes.plain_exporter(place, page) as theirs:
            measured = pairs(getter(ours, "/metrics", GZIP), getter(theirs, "/metrics", GZIP), rounds)
            yield compared(f"scrape of {size} deployments, against make_asgi_app", measured, "ms", least=5)


class Core:
    """From lists to pages, without HTTP."""

    def __init__(self) -> None:
        self.store = Store([Target("p")])
        self._renderer = Renderer({})
        self._lists = ListReader()
        self._moment = 0.0

    async def apply(self, body: bytes) -> None:
        self._moment += 1
        before = self.store.projects["p"]
        listing = await self._lists.read(body, before.target.wants, 100_000)
        assert self.store.commit(before, await after_list(before, listing, self.moment))

    async def page(self) -> Page:
        return await self._renderer.render(await self.store.snapshot(self.moment))

    @property
    def moment(self) -> Instant:
        return Instant(self._moment, self._moment)


def renderings(size: int, rounds: int) -> Iterator[Row]:
    """The first page after a poll, in processor time, against prometheus_client with as many gauges."""
    still, one_percent, every = (answer(size, turn, changed) for turn, changed in ((0, 0), (1, size // 100), (1, size)))
    core = Core()

    async def first_page(*bodies: bytes) -> float:
        """After the last of the lists; only the page is measured."""
        for body in bodies:
            await core.apply(body)
            began = time.process_time()
            await core.page()
            took = time.process_time() - began
        return took

    with asyncio.Runner() as runner:
        runner.run(first_page(still))
        gauges = registry_of(b"".join(runner.run(core.page()).pieces("text")).decode())
        for what, body, least in (("1 %", one_percent, 40), ("all", every, 5.5)):
            measured = pairs(
                lambda body=body: runner.run(first_page(still, body)),  # type: ignore[misc]  # bound default
                lambda: timed(lambda: generate_latest(gauges), time.process_time),
                rounds,
            )
            label = f"first page after {what} of {size:,} changed, against generate_latest"
            yield compared(label, measured, "ms", least=least)


def polls(size: int, rounds: int) -> Iterator[Row]:
    """A whole poll over HTTP, from the request to the store, against reading the same body with json.loads."""
    body = answer(size)

    async def run(address: str) -> list[tuple[float, float]]:
        poller = _poller(address, Store([Target("p")]))
        plan, measured = Plan("p", "list", 30.0), []
        assert await poller.poll(plan)
        for _ in range(rounds):
            began = time.process_time()
            assert await poller.poll(plan)
            ours = time.process_time() - began
            measured.append((ours, timed(lambda: json.loads(body), time.process_time)))
        await poller.close()
        return measured

    with folder() as place, processes.api(place, size) as address:
        label = f"list poll of {size:,} unchanged, processor time, against json.loads"
        yield compared(label, asyncio.run(run(address)), "ms", most=1)


def holds(size: int, rounds: int, changing: str) -> Iterator[Row]:
    """The longest time in which the event loop does nothing else, of each poll, its page and its compression."""

    async def run(address: str) -> list[float]:
        store, metrics = Store([Target("p")]), SelfMetrics(runtime=False)
        poller, publisher = _poller(address, store), Publisher(Renderer({}), store, metrics, now)
        longest: list[float] = []
        watching = asyncio.create_task(_watch(longest))
        for _ in range(rounds):
            longest.append(0.0)
            assert await poller.poll(Plan("p", "list", 30.0))
            await publisher.render()
            await publisher.compressed(publisher.current, "text")
        watching.cancel()
        await poller.close()
        return longest

    gc.set_threshold(*GARBAGE_THRESHOLDS)
    with folder() as place, processes.api(place, size) as address:
        fetch(http.client.HTTPConnection(address), f"/{changing}", PLAIN)
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            first, *later = runner.run(run(address))
    yield absolute(f"event loop held, first poll of {size:,}", 1000 * first, "ms", 50)
    yield absolute(f"event loop held, later polls of {size:,}, {changing} changing", 1000 * max(later), "ms", 50)


def _poller(address: str, store: Store) -> Poller:
    reporter = Reporter("p", SelfMetrics(runtime=False))
    client = Client(
        Endpoint("p", f"http://{address}/v1", _key, 60), RateLimit(1000, time.monotonic), reporter.request_ended
    )
    return Poller(client, store, reporter, now)


async def _watch(longest: list[float]) -> None:
    """Stores the longest event loop delay."""
    last = time.perf_counter()
    while True:
        await asyncio.sleep(0)
        moment = time.perf_counter()
        longest[-1:] = [max(*longest[-1:], moment - last, 0.0)]
        last = moment


def now() -> Instant:
    return Instant(time.monotonic(), time.time())


def under_polls(size: int, seconds: float) -> Iterator[Row]:
    """Scrapes for as long as there are polls of which each changes 1 %, and then without any."""
    with folder() as place, processes.api(place, size) as api:
        fetch(http.client.HTTPConnection(api), "/one-percent", PLAIN)
        with processes.exporter(place, api, "10s") as (busy, _), processes.exporter(place, api, "1h") as (idle, _):
            measured = [(p99(busy, seconds), p99(idle, seconds)) for _ in range(2)]
        yield compared(f"p99 of a scrape while {size:,} are polled every 10 s, against idle", measured, "ms", most=4)


def p99(address: str, seconds: float) -> float:
    get, end = getter(address, "/metrics", GZIP), time.monotonic() + seconds
    latencies = []
    while time.monotonic() < end:
        latencies.append(get())
        time.sleep(0.1)
    return statistics.quantiles(latencies, n=100)[-1]


def memory(size: int, changing: str, most: float) -> Iterator[Row]:
    """After ten polls of which each changes so much, scraped both ways."""
    with folder() as place, processes.api(place, size) as api:
        fetch(http.client.HTTPConnection(api), f"/{changing}", PLAIN)
        with processes.exporter(place, api, "5s") as (address, pid):
            for _ in range(10):
                for form in (PLAIN, GZIP):
                    fetch(http.client.HTTPConnection(address, timeout=60), "/metrics", form)
                time.sleep(2)
            what = f"resident memory, {size:,} deployments, {changing} changing"
            yield absolute(what, resident(pid) / MB, "MB", most)


def start() -> Iterator[Row]:
    with folder() as place, processes.api(place, 10) as api:
        times = []
        for _ in range(5):
            with processes.exporter(place, api, "1h") as (_, pid):
                times.append(processor_time(pid))
        yield absolute("processor time from the start to the first polls", statistics.median(times), "s", 0.5)


def idle(seconds: float) -> Iterator[Row]:
    with folder() as place, processes.api(place, 20) as api, processes.exporter(place, api, "30s") as (address, pid):
        before, stop = processor_time(pid), threading.Event()
        for _ in range(int(seconds / 15)):
            fetch(http.client.HTTPConnection(address), "/metrics", GZIP)
            stop.wait(15)
        share = 100 * (processor_time(pid) - before) / seconds
        yield absolute("idle, 20 deployments every 30 s, a scrape every 15 s", share, "% of a core", 0.5)


def json_exporter(size: int, rounds: int) -> Iterator[Row]:
    """One probe a deployment there, one scrape of all here."""
    binary = processes.built_json_exporter(OUTPUT_FOLDER)
    if binary is None:
        print("| json_exporter: not measured, it could not be built | | | | | | |")
        return
    with (
        folder() as place,
        processes.api(place, size) as api,
        processes.exporter(place, api, "1h") as (ours, our_pid),
        processes.json_exporter(place, binary) as (theirs, their_pid),
    ):
        scrape = getter(ours, "/metrics", GZIP)
        probe = getter(theirs, f"/probe?target=http://{api}/v1/deployments/x", PLAIN)

        def probes() -> float:
            return sum(probe() for _ in range(size))

        measured = pairs(scrape, probes, rounds)
        yield compared(f"scrape of {size} deployments, against json_exporter", measured, "ms", least=5)
        batch = SCRAPES // 5  # long enough for the resolution of processor times
        measured = pairs(_processor_time_of(scrape, our_pid, batch), _processor_time_of(probes, their_pid, batch), 5)
        yield compared(f"processor time of {batch} such scrapes, against json_exporter", measured, "ms", least=5)


def _processor_time_of(scrape: Callable[[], float], pid: int, times: int) -> Callable[[], float]:
    """Returns a function that scrapes so many times and returns the processor time of the process, in seconds."""

    def measure() -> float:
        before = processor_time(pid)
        for _ in range(times):
            scrape()
        return processor_time(pid) - before

    return measure


@contextmanager
def folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as name:
        yield Path(name)


def measures() -> Iterator[tuple[str, Iterator[Row]]]:
    """By name; each is measured when its rows are taken."""
    if processes.program("nginx"):
        for size, rounds in ((1000, 60), (10_000, 15)):
            yield "nginx", scrapes(size, rounds)
    for size, most in ((10, 1), (1000, 1), (10_000, 4)):
        yield "scrape", scrape_processor_time(size, most)
    yield "plain", against_a_plain_exporter(10, 200)
    yield "render", renderings(10_000, 5)
    yield "poll", polls(10_000, 9)
    for changing in (api.ONE_PERCENT, api.ALL):
        yield "hold", holds(10_000, 6, changing)
    yield "p99", under_polls(10_000, 30)
    for size, changing, megabytes in ((1000, api.ALL, 125), (10_000, api.ONE_PERCENT, 450), (10_000, api.ALL, 600)):
        yield "memory", memory(size, changing, megabytes)
    yield "start", start()
    yield "idle", idle(60)
    yield "json_exporter", json_exporter(10, 30)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    names = dict.fromkeys(name for name, _ in measures())
    parser.add_argument("--only", choices=list(names), action="append", help="measure this alone; may be repeated")
    only = parser.parse_args().only
    log.configure("error", "logfmt")
    OUTPUT_FOLDER.mkdir(exist_ok=True)
    print(HEADER)
    measured = []
    for name, rows in measures():
        for row in rows if not only or name in only else ():
            measured.append(row)
            print(row, flush=True)
    for name, hint in (("nginx", "apt-get install nginx-light"), ("go", "install Go, or set JSON_EXPORTER")):
        if processes.program(name) is None:
            print(f"\nmissing: {name}, so its rows are; {hint}")
    (OUTPUT_FOLDER / "bench.json").write_text(json.dumps([asdict(row) for row in measured], indent=1), encoding="utf-8")


if __name__ == "__main__":
    main()
