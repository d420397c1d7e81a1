"""What a scrape, a poll and an idle minute cost, each beside what it is measured against, in one run."""

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
from dataclasses import asdict, dataclass
from pathlib import Path

from prometheus_client import CollectorRegistry, Gauge, generate_latest

from benchmarks import api, processes
from benchmarks.fleet import answer
from benchmarks.processes import GZIP, PLAIN, fetch, processor_time
from benchmarks.soak import resident
from exporter import log
from exporter.api.client import Client, Endpoint
from exporter.api.listing import read_list
from exporter.daemon import GARBAGE_THRESHOLDS
from exporter.instrumentation import Instrumentation
from exporter.metrics.collector import ViewCollector
from exporter.metrics.exposition import Exposition
from exporter.poller import Plan, Poller
from exporter.records import Instant, Target
from exporter.store import Store
from exporter.web.rendering import Rendering

HERE = Path(__file__).parents[1] / ".bench"  # what was built, and the last results
MB = 1e6
LARGE = 1000  # deployments from which the fixed part of a scrape weighs little


@dataclass(frozen=True)
class Row:
    """`ours` and `theirs` are medians, `ratio` the median of the pairs' ratios, `spread` its quartiles. `limit`: what
    the ratio, or `ours` where there is nothing to compare, must not exceed; below 0, what it must reach."""

    what: str
    ours: str
    theirs: str
    ratio: float | None
    spread: str
    limit: str
    reached: bool


async def _key() -> str:
    return "k"


def pairs(ours: Callable[[], float], theirs: Callable[[], float], rounds: int) -> list[tuple[float, float]]:
    """Both measured in turn, so that a noisy neighbour hits both."""
    return [(ours(), theirs()) for _ in range(rounds)]


def compared(what: str, measured: list[tuple[float, float]], unit: str, most: float = 0, least: float = 0) -> Row:
    """A row of ratios, ours to theirs (`most`) or theirs to ours (`least`)."""
    ratios = [theirs / ours if least else ours / theirs for ours, theirs in measured]
    middle = statistics.median(ratios)
    low, _, high = statistics.quantiles(ratios, n=4) if len(ratios) > 1 else (middle,) * 3
    scale, digits = (1000, 2) if unit == "ms" else (1, 2)
    ours, theirs = (f"{scale * statistics.median(column):.{digits}f} {unit}" for column in zip(*measured, strict=True))
    limit = f"at least {least:g} x faster" if least else f"at most {most:g} x"
    reached = middle >= least if least else middle <= most
    return Row(what, ours, theirs, round(middle, 2), f"{low:.2f} to {high:.2f}", limit, reached)


def absolute(what: str, value: float, unit: str, most: float) -> Row:
    return Row(what, f"{value:.3g} {unit}", "", None, "", f"at most {most:g} {unit}", value <= most)


def timed(run: Callable[[], object], clock: Callable[[], float] = time.perf_counter) -> float:
    began = clock()
    run()
    return clock() - began


def getter(address: str, path: str, headers: dict[str, str]) -> Callable[[], float]:
    """Times one request over a connection that stays open."""
    connection = http.client.HTTPConnection(address, timeout=60)

    def get() -> float:
        began = time.perf_counter()
        status, _ = fetch(connection, path, headers)
        assert status == http.client.OK
        return time.perf_counter() - began

    return get


def scrapes(size: int, rounds: int) -> Iterator[Row]:
    """Nothing changes; nginx serves the very bytes of one answer."""
    with folder() as place, processes.api(place, size) as api, processes.exporter(place, api, "1h") as (ours, _):
        page, packed = (fetch(http.client.HTTPConnection(ours), "/metrics", form)[1] for form in (PLAIN, GZIP))
        assert gzip.decompress(packed).count(b"\n") == page.count(b"\n")
        with processes.nginx(place, page, packed) as theirs:
            for name, path, form in (("plain", "/page", PLAIN), ("gzip", "/packed", GZIP)):
                measured = pairs(getter(ours, "/metrics", form), getter(theirs, path, form), rounds)
                label = f"scrape of {size:,} deployments, nothing changed, {name}, against nginx"
                yield compared(label, measured, "ms", most=2 if size < LARGE else 1.5)


def renderings(size: int, rounds: int) -> Iterator[Row]:
    """The work of the first scrape after a poll, in processor time, against prometheus_client with as many gauges."""
    lists = [read_list(answer(size, turn, changed)) for turn, changed in ((0, 0), (1, size // 100), (1, size))]
    still, one_percent, every = lists
    store, exposition = Store([Target("p")]), Exposition({})
    moment = 0.0

    def first_scrape() -> float:
        view = store.view(Instant(moment, moment))
        return timed(lambda: exposition.render(view, "text"), time.process_time)

    def change(*states: list[object]) -> Callable[[], float]:
        def run() -> float:
            nonlocal moment
            for state in states:
                moment += 1
                took = (store.apply_list("p", state, Instant(moment, moment)), first_scrape())[1]  # type: ignore[arg-type]
            return took

        return run

    change(still)()  # type: ignore[arg-type]
    gauges = gauges_of(store)

    def theirs() -> float:
        return timed(lambda: generate_latest(gauges), time.process_time)

    for what, state, least in (("1 %", one_percent, 20), ("all", every, 5)):
        measured = pairs(change(still, state), theirs, rounds)  # type: ignore[arg-type]
        yield compared(
            f"first scrape after {what} of {size:,} changed, against generate_latest", measured, "ms", least=least
        )


def gauges_of(store: Store) -> CollectorRegistry:
    """The same series as plain gauges, as an exporter without an exposition of its own would have them."""
    registry = CollectorRegistry()
    for metric in ViewCollector(store.view(Instant(1, 1)), {}).collect():
        names = list(metric.samples[0].labels)
        gauge = Gauge(metric.name, metric.documentation, names, registry=registry)
        for sample in metric.samples:
            (gauge.labels(**sample.labels) if names else gauge).set(sample.value)
    return registry


def polls(size: int, rounds: int) -> Iterator[Row]:
    """A whole poll over HTTP, from the request to the store, against reading the same body with json.loads."""
    body = answer(size)

    async def run(api: str) -> list[tuple[float, float]]:
        instrumentation = Instrumentation(runtime=False)
        client = Client(Endpoint("p", f"http://{api}/v1", _key, 60, 1000), instrumentation)
        poller = Poller(client, Store([Target("p")]), instrumentation, now)
        plan, measured = Plan("p", "list", 30.0), []
        assert await poller.poll(plan)
        for _ in range(rounds):
            began = time.process_time()
            assert await poller.poll(plan)
            ours = time.process_time() - began
            measured.append((ours, timed(lambda: json.loads(body), time.process_time)))
        await poller.retire()
        return measured

    with folder() as place, processes.api(place, size) as api:
        label = f"list poll of {size:,} unchanged, processor time, against json.loads"
        yield compared(label, asyncio.run(run(api)), "ms", most=3)


def holds(size: int, rounds: int) -> Iterator[Row]:
    """The longest time in which the event loop does nothing else, of each poll and drawing; 1 % changes."""

    async def run(address: str) -> list[float]:
        instrumentation = Instrumentation(runtime=False)
        client = Client(Endpoint("p", f"http://{address}/v1", _key, 60, 1000), instrumentation)
        store, exposition = Store([Target("p")]), Exposition({})
        poller = Poller(client, store, instrumentation, now)
        rendering = Rendering(lambda: exposition, lambda: store.view(now()))
        longest: list[float] = []
        watching = asyncio.create_task(_watch(longest))
        for _ in range(rounds):
            longest.append(0.0)
            assert await poller.poll(Plan("p", "list", 30.0))
            await rendering.gzip(await rendering.current(), "text")
        watching.cancel()
        await poller.retire()
        return longest

    gc.set_threshold(*GARBAGE_THRESHOLDS)
    with folder() as place, processes.api(place, size) as address:
        fetch(http.client.HTTPConnection(address), f"/{api.ONE_PERCENT}", PLAIN)
        first, *later = asyncio.run(run(address))
    yield absolute(f"event loop held, first poll of {size:,}", 1000 * first, "ms", 50)
    yield absolute(f"event loop held, later polls of {size:,}", 1000 * statistics.median(later), "ms", 50)


async def _watch(longest: list[float]) -> None:
    """Puts the longest wait for its turn into the last place."""
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
        yield compared(f"p99 of a scrape while {size:,} are polled every 10 s, against idle", measured, "ms", most=3)


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
        yield absolute("processor time from the start to the first polls", statistics.median(times), "s", 0.6)


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
    binary = processes.built_json_exporter(HERE)
    if binary is None:
        print("| json_exporter: not measured, it could not be built | | | | | | |")
        return
    with (
        folder() as place,
        processes.api(place, size) as api,
        processes.exporter(place, api, "1h") as (ours, _),
        processes.json_exporter(place, binary) as theirs,
    ):
        probe = getter(theirs, f"/probe?target=http://{api}/v1/deployments/x", PLAIN)
        measured = pairs(getter(ours, "/metrics", GZIP), lambda: sum(probe() for _ in range(size)), rounds)
        yield compared(f"scrape of {size} deployments, against json_exporter", measured, "ms", least=10)


@contextmanager
def folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as name:
        yield Path(name)


def rows() -> Iterator[Row]:
    if processes.program("nginx"):
        for size, rounds in ((10, 400), (100, 200), (1000, 60), (10_000, 15)):
            yield from scrapes(size, rounds)
    yield from renderings(10_000, 5)
    yield from polls(10_000, 9)
    yield from holds(10_000, 6)
    yield from under_polls(10_000, 30)
    for size, most in ((1000, 120), (10_000, 450)):
        for changing in (api.ONE_PERCENT, api.ALL):
            yield from memory(size, changing, most)
    yield from start()
    yield from idle(60)
    yield from json_exporter(10, 30)


def main() -> None:
    argparse.ArgumentParser(description=__doc__).parse_args()
    log.configure("error", "logfmt")
    HERE.mkdir(exist_ok=True)
    print("| measure | ours | theirs | ratio | quartiles | reach | |\n|---|---|---|---|---|---|---|")
    measured = []
    for row in rows():
        measured.append(row)
        mark = "yes" if row.reached else "**no**"
        ratio = "" if row.ratio is None else row.ratio
        print(f"| {row.what} | {row.ours} | {row.theirs} | {ratio} | {row.spread} | {row.limit} | {mark} |", flush=True)
    for name, mend in (("nginx", "apt-get install nginx-light"), ("go", "install Go")):
        if processes.program(name) is None:
            print(f"\nmissing: {name}, so its rows are; {mend}")
    (HERE / "bench.json").write_text(json.dumps([asdict(row) for row in measured], indent=1), encoding="utf-8")


if __name__ == "__main__":
    main()
