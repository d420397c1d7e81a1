"""Hours in minutes: a fleet with churn and faults, scrapes, reloads and attacks. Does anything leak or fail?"""

from __future__ import annotations

import argparse
import gzip
import http.client
import os
import re
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import count, cycle
from pathlib import Path

from prometheus_client.parser import text_string_to_metric_families

from benchmarks.attacks import (
    ATTACK_LASTS,
    SCRAPER,
    Attacks,
    LogPipe,
    guess,
    log_pipe,
    pipeline,
    web_config,
)

CLIENTS, SCRAPES_PER_SECOND = 4, 20.0
RELOAD_EVERY = 10.0  # s
SAMPLE_EVERY = 2.0  # s
ROUND = 2 * RELOAD_EVERY  # s; each attack once
QUIET_AFTER = 2 * ATTACK_LASTS + 2.0  # s in a round; memory and files are sampled between the attacks
UNREAD = 3  # the log is not read in one of so many rounds
PATHS = ("/metrics", "/-/healthy", "/", "/api/v1/status")  # the first two at each turn of a client
PAGE_EVERY = 20  # turns
WARM_UP = 0.4  # of the time; caches fill and attacks bring the heap to the size that it keeps
MAX_GROWTH = 0.03
KEY = "soak"
MISSED = "together_exporter_polls_missed_total"
DROPPED = "together_exporter_log_lines_dropped_total"
RELOADED = "together_exporter_config_last_reload_successful"
PROJECT = "  - {{name: {name}, base_url: 'http://{api}', max_requests_per_second: 50{more}}}\n"
NAMED_DEPLOYMENTS = ", deployments: [chat-000, embed-001, diffuse-004], fetch: each, queue: true"


@dataclass
class Tally:
    """What the clients and the watcher saw; `latencies` are seconds by path."""

    latencies: dict[str, list[float]] = field(default_factory=lambda: {path: [] for path in PATHS})
    failures: list[str] = field(default_factory=list)
    memory: list[int] = field(default_factory=list)  # bytes resident
    files: list[int] = field(default_factory=list)
    reloads: int = 0
    refused: int = 0
    parsed: int = 0
    peak: int = 0  # bytes resident
    attacks: Attacks = field(default_factory=Attacks)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=10.0)
    seconds = 60 * parser.parse_args().minutes
    with tempfile.TemporaryDirectory() as folder:
        api, web = free_address(), free_address()
        config, log = Path(folder) / "exporter.yml", Path(folder) / "serve.log"
        variants = _variants(api)
        _put(config, variants[0])
        scenario = Path(__file__).parent / "soak.yml"
        simulate = ["simulate", f"--listen-address={api}", f"--scenario={scenario}", "--speed=10"]
        serve = ["serve", f"--config.file={config}", f"--web.listen-address={web}", "--log.level=debug"]
        serve.append(f"--web.config.file={web_config(Path(folder))}")
        with log_pipe(log) as pipe, _running(simulate, None), _running(serve, pipe.stderr) as daemon:
            _wait_for(web)
            tally = _soak(web, daemon, _Inputs(config, variants, pipe), seconds)
            page = _get(http.client.HTTPConnection(web, timeout=30), "/metrics").decode()
        lines = log.read_text(encoding="utf-8")
    return _report(tally, page, lines, seconds)


@dataclass(frozen=True, slots=True)
class _Inputs:
    """What a soak changes while the exporter runs. `variants`: of the configuration; the last one is refused."""

    config: Path
    variants: list[str]
    log: LogPipe


def _variants(api: str) -> list[str]:
    """Configurations that reloads go through: one project more, one setting other, one that is refused."""
    base = "poll_interval: 2s\npoll_timeout: 1s\nprojects:\n"
    one = PROJECT.format(name="all", api=api, more="")
    two = PROJECT.format(name="named", api=api, more=NAMED_DEPLOYMENTS)
    return [base + one + two, base + one, base + one + two, base + one + two + "replica_metric: false\n"]


def _soak(web: str, daemon: subprocess.Popen[bytes], inputs: _Inputs, seconds: float) -> Tally:
    tally, stop = Tally(), threading.Event()
    threads = [threading.Thread(target=_scrape, args=(web, tally, stop, n)) for n in range(CLIENTS)]
    threads.append(threading.Thread(target=_reload, args=(web, daemon, inputs, tally, stop)))
    threads.append(threading.Thread(target=_attack, args=(web, inputs.log, tally.attacks, stop)))
    start = time.monotonic()
    for thread in threads:
        thread.start()
    while (passed := time.monotonic() - start) < seconds and daemon.poll() is None:
        if passed % ROUND > QUIET_AFTER:
            tally.memory.append(resident(daemon.pid))
            tally.files.append(len(os.listdir(f"/proc/{daemon.pid}/fd")))
        stop.wait(SAMPLE_EVERY)
    stop.set()
    for thread in threads:
        thread.join()
    if daemon.poll() is not None:
        tally.failures.append(f"the exporter ended with {daemon.returncode}")
    else:
        status = Path(f"/proc/{daemon.pid}/status").read_text(encoding="ascii")
        tally.peak = 1024 * int(re.search(r"VmHWM:\s+(\d+)", status)[1])  # type: ignore[index]  # always there
    return tally


def _reload(web: str, daemon: subprocess.Popen[bytes], inputs: _Inputs, tally: Tally, stop: threading.Event) -> None:
    """One configuration after the other; each is applied or refused as it should be before the next."""
    start, connection = time.monotonic(), http.client.HTTPConnection(web, timeout=10)
    for number, variant in enumerate(cycle(inputs.variants), 1):
        _put(inputs.config, variant)
        daemon.send_signal(signal.SIGHUP)
        tally.reloads += 1
        if stop.wait(start + RELOAD_EVERY * number - time.monotonic()):
            connection.close()
            return
        should_be = variant != inputs.variants[-1]
        try:
            is_applied = bool(_value(_get(connection, "/metrics").decode(), RELOADED))
        except (OSError, http.client.HTTPException, ValueError) as error:
            tally.failures.append(f"/metrics after a reload: {error!r}")
            connection.close()
            continue
        tally.refused += not is_applied
        if is_applied != should_be:
            tally.failures.append(f"a reload that {'was' if is_applied else 'was not'} applied")


def _attack(web: str, log: LogPipe, seen: Attacks, stop: threading.Event) -> None:
    """Each attack at the start of each round; the log is not read during some rounds."""
    start = time.monotonic()
    for number in count():
        if stop.wait(max(start + ROUND * number - time.monotonic(), 0.0)):
            break
        if number % UNREAD == 0:
            log.reading.clear()
        else:
            log.reading.set()
        pipeline(web, seen, stop)
        guess(web, seen, stop)
    log.reading.set()


def _scrape(web: str, tally: Tally, stop: threading.Event, number: int) -> None:
    """One client at its share of the rate; the first two keep their connection, the others make a new one each time."""
    gap, turn, start = CLIENTS / SCRAPES_PER_SECOND, 0, time.monotonic()
    connection = http.client.HTTPConnection(web, timeout=10)
    while not stop.wait(max(start + gap * turn - time.monotonic(), 0.0)):
        turn += 1
        for path in PATHS if turn % PAGE_EVERY == number else PATHS[:2]:
            began = time.perf_counter()
            try:
                body = _get(connection, path)
            except (OSError, http.client.HTTPException, ValueError) as error:
                tally.failures.append(f"{path}: {error!r}")
                connection.close()
                continue
            tally.latencies[path].append(time.perf_counter() - began)
            if path == "/metrics" and turn % 50 == number:
                _parse(body, tally)
        if number >= CLIENTS / 2:
            connection.close()


def _get(connection: http.client.HTTPConnection, path: str) -> bytes:
    """The inflated body. Raises ValueError where the answer is none."""
    connection.request("GET", path, headers={"Accept-Encoding": "gzip", **SCRAPER})
    response = connection.getresponse()
    body = response.read()
    if response.status != http.client.OK:
        raise ValueError(f"status {response.status}")
    return gzip.decompress(body) if response.headers.get("Content-Encoding") == "gzip" else body


def _parse(body: bytes, tally: Tally) -> None:
    try:
        series = [
            (s.name, *sorted(s.labels.items()))
            for f in text_string_to_metric_families(body.decode())
            for s in f.samples
        ]
    except ValueError as error:
        tally.failures.append(f"unreadable: {error}")
        return
    if len(series) != len(set(series)):
        tally.failures.append("the same series twice")
    tally.parsed += 1


def _report(tally: Tally, page: str, log: str, seconds: float) -> int:
    """The table, and 1 where a promise is broken."""
    memory = _start_and_end(tally.memory, statistics.median)
    files = _start_and_end(tally.files, statistics.mean)  # connections come and go; a leak lifts them all
    missed, dropped, attacks = _value(page, MISSED), _value(page, DROPPED), tally.attacks
    polls = sum(map(float, re.findall(r"^together_exporter_polls_total\{.*\} (\S+)$", page, re.MULTILINE)))
    failed = sum(map(float, re.findall(r"^together_exporter_poll_failures_total\{.*\} (\S+)$", page, re.MULTILINE)))
    scrapes, health, pages, _ = (sorted(values) for values in tally.latencies.values())
    rows = [
        ("duration", f"{seconds / 60:g} min", ""),
        ("scrapes", f"{len(scrapes)} ({len(scrapes) / seconds:.1f} a second), {tally.parsed} of them parsed whole", ""),
        ("scrapes that failed", str(len(tally.failures)), "0"),
        ("size of the page", f"{len(page) / 1000:.0f} kB", ""),
        ("scrape, median and p99", f"{_ms(scrapes, 0.5)} and {_ms(scrapes, 0.99)}", ""),
        ("`/-/healthy` beside it, median and p99", f"{_ms(health, 0.5)} and {_ms(health, 0.99)}", ""),
        (
            f"the status page beside it, {len(pages)} times, median and p99",
            f"{_ms(pages, 0.5)} and {_ms(pages, 0.99)}",
            "",
        ),
        ("polls, failed by the API's faults", f"{polls:.0f}, {failed:.0f} (running projects only)", ""),
        ("polls missed", f"{missed:.0f}", "0"),
        ("reloads, refused ones among them", f"{tally.reloads}, {tally.refused}", ""),
        ("pipelined requests that were taken", f"{attacks.sent / 2**20:.0f} MiB", ""),
        (
            "guessed passwords",
            ", ".join(f"{number} x {status}" for status, number in sorted(attacks.guesses.items())),
            "",
        ),
        ("log lines, dropped ones among them", f"{log.count(chr(10)) + dropped:.0f}, {dropped:.0f}", ""),
        ("resident memory, median at start and end", _change(memory, 2**20, "MiB "), f"+{MAX_GROWTH:.0%} at most"),
        ("peak of resident memory", f"{tally.peak / 2**20:.1f} MiB", ""),
        ("open files, mean at start and end", _change(files, 1, ""), f"+{MAX_GROWTH:.0%} at most"),
        ("tracebacks in the log", str(log.count("Traceback")), "0"),
    ]
    print("| what | seen | limit |\n|---|---|---|")
    for row in rows:
        print("| {} | {} | {} |".format(*row))
    for failure in tally.failures[:10]:
        print(failure, file=sys.stderr)
    grew = any(end > start * (1 + MAX_GROWTH) for start, end in (memory, files))
    return int(bool(tally.failures) or missed > 0 or grew or "Traceback" in log)


def _value(page: str, series: str) -> float:
    """Of a series without labels that is always there. Raises ValueError where it is not."""
    found = re.search(rf"^{series} (\S+)$", page, re.MULTILINE)
    if found is None:
        raise ValueError(f"no {series}")
    return float(found[1])


def _start_and_end(samples: list[int], measure: Callable[[list[int]], float]) -> tuple[float, float]:
    """The measure of the first and of the last third of what follows the warm-up."""
    steady = samples[int(len(samples) * WARM_UP) :]
    part = max(len(steady) // 3, 1)
    return measure(steady[:part]), measure(steady[-part:])


def _change(ends: tuple[float, float], unit: float, name: str) -> str:
    start, end = ends
    return f"{start / unit:.1f} and {end / unit:.1f} {name}({end / start - 1:+.1%})"


def _ms(ordered: list[float], share: float) -> str:
    return f"{1000 * ordered[min(int(len(ordered) * share), len(ordered) - 1)]:.1f} ms" if ordered else "-"


def resident(pid: int) -> int:
    return int(Path(f"/proc/{pid}/statm").read_text(encoding="ascii").split()[1]) * os.sysconf("SC_PAGE_SIZE")


def _put(config: Path, text: str) -> None:
    new = config.with_suffix(".new")
    new.write_text(text, encoding="utf-8")
    new.rename(config)


def free_address() -> str:
    with socket.create_server(("127.0.0.1", 0)) as sock:
        return f"127.0.0.1:{sock.getsockname()[1]}"


def _wait_for(address: str, patience: float = 30.0) -> None:
    end = time.monotonic() + patience
    while True:
        try:
            _get(http.client.HTTPConnection(address, timeout=5), "/-/ready")
        except (OSError, ValueError):
            if time.monotonic() > end:
                raise
            time.sleep(0.1)
        else:
            return


@contextmanager
def _running(words: list[str], stderr: int | None) -> Iterator[subprocess.Popen[bytes]]:
    """A command of ours; ended by its ID. `stderr`: None drops its log."""
    command = [sys.executable, "-m", "exporter", *words]
    log = subprocess.DEVNULL if stderr is None else stderr
    process = subprocess.Popen(command, stderr=log, env={**os.environ, "TOGETHER_API_KEY": KEY})
    try:
        yield process
    finally:
        process.terminate()
        process.wait(30)


if __name__ == "__main__":
    sys.exit(main())
