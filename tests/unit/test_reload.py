"""A reload that is refused changes nothing and says so; whatever raises refuses it."""

from __future__ import annotations

import asyncio
import socket
from pathlib import Path
from typing import Any

import pytest
import structlog

from exporter.reload import Reloader
from exporter.self_metrics import SelfMetrics
from exporter.settings.problems import ConfigError, Problem
from tests.pipeline import run

TIMESTAMP = "together_exporter_config_last_reload_success_timestamp_seconds"


class Applied:
    """A configuration that is applied, or raises what the test says."""

    def __init__(self) -> None:
        self.error: BaseException | None = None
        self.times = 0
        self.running = 0
        self.most = 0
        self.metrics = SelfMetrics(runtime=False)
        self.now = 100.0
        self.reloader = Reloader(self.apply, self.metrics, lambda: self.now)

    async def apply(self) -> None:
        self.running += 1
        self.most = max(self.most, self.running)
        await asyncio.sleep(0)
        self.running -= 1
        self.times += 1
        if self.error is not None:
            raise self.error

    def reload(self) -> tuple[str | None, list[dict[str, Any]]]:
        """What it says, and the lines."""
        with structlog.testing.capture_logs() as lines:
            problem = run(self.reloader.reload())
        return problem, [dict(line) for line in lines]

    def timestamp(self) -> float | None:
        return self.metrics.live.get_sample_value(TIMESTAMP)


def test_what_can_be_applied_is_reported_by_the_time() -> None:
    applied = Applied()
    assert applied.reload() == (None, [])
    assert (applied.reloader.problem, applied.timestamp()) == (None, 100.0)


def test_a_bad_configuration_is_refused_with_its_first_problem() -> None:
    applied = Applied()
    error = ConfigError([Problem("c.yml", "poll_interval", "has no unit", 3), Problem("c.yml", "x", "is unknown", 4)])
    applied.error = error
    problem, (line,) = applied.reload()
    assert problem == applied.reloader.problem == str(error)
    assert "poll_interval" in problem
    assert line == {
        "event": "configuration reload failed",
        "log_level": "error",
        "error": str(error),
        "effect": "previous configuration stays active",
    }
    assert applied.timestamp() == 0


@pytest.mark.parametrize(
    "error",
    [
        ValueError("day is out of range for month"),
        UnicodeError("label empty or too long"),
        RuntimeError("a bug"),
        RecursionError(),
        MemoryError(),
        OSError(5, "Input/output error"),
        KeyError("x"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_any_other_exception_refuses_it_too(error: Exception) -> None:
    applied = Applied()
    applied.reload()
    applied.now, applied.error = 200.0, error
    problem, (line,) = applied.reload()
    assert problem is not None
    assert problem.startswith(f"unexpected {type(error).__name__}")
    assert applied.reloader.problem == problem
    assert (line["event"], line["log_level"]) == (
        "configuration reload failed (unexpected exception, please report)",
        "error",
    )
    assert line["exc_info"] is True
    assert applied.timestamp() == 100.0, "of the one that runs"


def test_a_good_one_after_a_refused_one_is_all_well_again() -> None:
    applied = Applied()
    applied.error = RuntimeError("a bug")
    applied.reload()
    applied.error = None
    assert applied.reload() == (None, [])
    assert applied.reloader.problem is None


def test_the_end_of_the_program_is_no_refusal() -> None:
    applied = Applied()
    applied.error = asyncio.CancelledError()
    with pytest.raises(asyncio.CancelledError):
        run(applied.reloader.reload())
    assert applied.reloader.problem is None


def test_reloads_run_one_after_another() -> None:
    async def all_at_once() -> None:
        await asyncio.gather(*(applied.reloader.reload() for _ in range(5)))

    applied = Applied()
    run(all_at_once())
    assert (applied.times, applied.most) == (5, 1)


def test_systemd_is_told_before_and_after(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        address = str(tmp_path / "notify")
        sock.bind(address)
        monkeypatch.setenv("NOTIFY_SOCKET", address)
        applied = Applied()
        applied.error = RuntimeError("a bug")
        applied.reload()
        notified = [sock.recv(1000).decode() for _ in range(2)]
    assert [text.split("\n")[0] for text in notified] == ["RELOADING=1", "READY=1"]
