"""A reload in this process: it swaps in what changed and nothing else."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
import structlog

from exporter.settings.problems import ConfigError, Problem
from tests.e2e.faulty_api import GOOD, FaultyApi, good, http, listed
from tests.unit.running import Configuration, bounded, eventually, project, ready, running

SUCCESSFUL = "together_exporter_config_last_reload_successful"
pytestmark = pytest.mark.usefixtures("restored_process")


def a_bad_file(configuration: Configuration) -> None:
    configuration.error = ConfigError([Problem("c.yml", "x", "unknown key")])


def an_unexpected_exception(configuration: Configuration) -> None:
    configuration.error = ValueError("day is out of range for month")


def a_url_that_httpx_refuses(configuration: Configuration) -> None:
    configuration.projects = (*configuration.projects, project("q", "https://\xe9..x/v1"))


REFUSED = {
    a_bad_file: "c.yml: x: unknown key",
    an_unexpected_exception: "unexpected ValueError: day is out of range for month",
    a_url_that_httpx_refuses: "is not a valid URL (invalid idna hostname)",
}


@pytest.mark.parametrize(("breaks", "says"), REFUSED.items(), ids=lambda each: getattr(each, "__name__", ""))
def test_a_refused_reload_changes_nothing_and_is_reported_in_all_three_ways(
    breaks: Callable[[Configuration], None], says: str, api: FaultyApi
) -> None:
    async def test() -> None:
        api.answers["p"] = listed(GOOD)
        configuration = Configuration(project("p", api.url("p")))
        projects = configuration.projects
        async with running(configuration) as daemon:
            await daemon.shows(ready("p"))
            await daemon.shows(f"{SUCCESSFUL} 1.0")
            before = daemon.app._running
            breaks(configuration)
            with structlog.testing.capture_logs() as lines:
                status, text = await daemon.reload()
            assert status == 500
            assert says in text
            assert [(line["log_level"], line["effect"]) for line in lines if "reload" in line["event"]] == [
                ("error", "previous configuration stays active")
            ]
            assert {f"{SUCCESSFUL} 0.0", ready("p")} <= await daemon.metrics()
            assert daemon.app._running is before
            assert says in (await daemon.web.get("/api/v1/status")).json()["configuration_error"]
            configuration.error, configuration.projects = None, projects
            assert await daemon.reload() == (200, "Reloaded.")
            assert f"{SUCCESSFUL} 1.0" in await daemon.metrics()

    bounded(test())


def test_unchanged_projects_keep_their_poller_and_a_changed_one_is_polled_at_once(api: FaultyApi) -> None:
    async def test() -> None:
        api.answers |= dict.fromkeys("pqr", listed(GOOD))
        configuration = Configuration(project("p", api.url("p")), project("q", api.url("q")))
        async with running(configuration) as daemon:
            await daemon.shows(ready("p"))
            await daemon.shows(ready("q"))
            before = dict(daemon.app._running.pollers)
            configuration.projects = (
                project("p", api.url("p")),
                project("q", api.url("q"), poll_timeout="4m"),
                project("r", api.url("r")),
            )
            assert await daemon.reload() == (200, "Reloaded.")
            await daemon.shows(ready("r"))
            await daemon.shows('together_exporter_polls_total{fetch="list",project="q"} 2.0')
            after = daemon.app._running.pollers
            assert after["p"] is before["p"]
            assert after["q"] is not before["q"]
            assert [len(api.requests[name]) for name in "pqr"] == [1, 2, 1]
            assert ready("q") in await daemon.metrics(), "what is known of it was kept"

    bounded(test())


@pytest.mark.parametrize("change", [{"poll_timeout": "50s"}, {"queue": True}, {"max_requests_per_second": 50}], ids=str)
def test_a_reload_ends_no_pause_that_the_api_asked_for(change: dict[str, Any], api: FaultyApi) -> None:
    async def test() -> None:
        api.answers["p"] = http(b"", "429 Too Many Requests", "retry-after: 300\r\n")
        configuration = Configuration(project("p", api.url("p"), poll_timeout="1m"))
        async with running(configuration) as daemon:
            await daemon.shows('together_exporter_polls_total{fetch="list",project="p"} 1.0')
            configuration.projects = (project("p", api.url("p"), **{"poll_timeout": "1m", **change}),)
            assert await daemon.reload() == (200, "Reloaded.")
            await daemon.shows('together_exporter_polls_total{fetch="list",project="p"} 2.0')
            assert len(api.requests["p"]) == 1

    bounded(test())


@pytest.mark.parametrize("change", [{"api_key": "other"}, {"base_url": "x/v1"}], ids=str)
def test_another_key_or_base_url_has_a_rate_limit_of_its_own(change: dict[str, Any], api: FaultyApi) -> None:
    async def test() -> None:
        api.answers |= {"p": http(b"", "429 Too Many Requests", "retry-after: 300\r\n"), "x": listed(GOOD)}
        configuration = Configuration(project("p", api.url("p")))
        async with running(configuration) as daemon:
            await daemon.shows('together_exporter_polls_total{fetch="list",project="p"} 1.0')
            changed = {**change, **({"base_url": api.url("x")} if "base_url" in change else {})}
            api.answers["p"] = listed(GOOD)
            configuration.projects = (project("p", **{"base_url": api.url("p"), **changed}),)
            assert await daemon.reload() == (200, "Reloaded.")
            await daemon.shows(ready("p"))

    bounded(test())


def test_reloads_send_no_more_requests_than_the_rate_allows(api: FaultyApi) -> None:
    async def test() -> None:
        api.answers["p"] = listed(GOOD)
        configuration = Configuration(project("p", api.url("p"), max_requests_per_second=0.01))
        async with running(configuration) as daemon:
            await daemon.shows(ready("p"))
            for minutes in range(5):
                changed = project("p", api.url("p"), max_requests_per_second=0.01, poll_interval=f"{minutes + 1}h")
                configuration.projects = (changed,)
                assert await daemon.reload() == (200, "Reloaded.")
            assert len(api.requests["p"]) == 1
            configuration.projects = (project("p", api.url("p"), max_requests_per_second=100),)
            assert await daemon.reload() == (200, "Reloaded.")
            await daemon.shows('together_exporter_polls_total{fetch="list",project="p"} 2.0')
            assert len(api.requests["p"]) == 2

    bounded(test())


def test_a_project_that_leaves_takes_all_its_series_along(api: FaultyApi) -> None:
    async def test() -> None:
        api.answers |= dict.fromkeys("pq", listed(GOOD))
        configuration = Configuration(project("p", api.url("p")), project("q", api.url("q")))
        async with running(configuration) as daemon:
            await daemon.shows(ready("q"))
            configuration.projects = configuration.projects[:1]
            assert await daemon.reload() == (200, "Reloaded.")
            metrics = await daemon.metrics()
            assert not any('project="q"' in line for line in metrics)
            assert ready("p") in metrics

    bounded(test())


def test_a_request_that_a_reload_ends_leaves_no_series_of_its_project(api: FaultyApi) -> None:
    async def test() -> None:
        reached = asyncio.Event()

        async def hang(_: asyncio.StreamWriter) -> None:
            reached.set()
            await asyncio.sleep(60)

        api.answers |= {"p": listed(GOOD), "q": hang}
        configuration = Configuration(project("p", api.url("p")), project("q", api.url("q")))
        async with running(configuration) as daemon:

            async def is_reached() -> bool:
                return reached.is_set()

            await eventually(is_reached)
            configuration.projects = configuration.projects[:1]
            assert await daemon.reload() == (200, "Reloaded.")
            assert not any('project="q"' in line for line in await daemon.metrics())

    bounded(test())


def test_what_is_under_way_at_a_reload_is_not_committed(api: FaultyApi) -> None:
    """The old configuration's answer comes when the new one is in place, and its poll counts as none."""

    async def test() -> None:
        reached, reloaded = asyncio.Event(), asyncio.Event()

        async def late(writer: asyncio.StreamWriter) -> None:
            reached.set()
            while not reloaded.is_set():  # noqa: ASYNC110 - in the loop of another thread
                await asyncio.sleep(0.005)
            writer.write(good(ready_replicas=99))

        api.answers |= {"old": late, "new": good()}
        configuration = Configuration(project("p", api.url("old"), deployments=["x"]))
        async with running(configuration) as daemon:

            async def is_reached() -> bool:
                return reached.is_set()

            await eventually(is_reached)
            configuration.projects = (project("p", api.url("new"), deployments=["x"]),)
            assert await daemon.reload() == (200, "Reloaded.")
            reloaded.set()
            await daemon.shows(ready("p"))
            await daemon.shows('together_exporter_polls_total{fetch="each",project="p"} 1.0')

    bounded(test())


def test_what_needs_a_restart_is_said(api: FaultyApi) -> None:
    async def test() -> None:
        configuration = Configuration(project("p", api.url("p")))
        async with running(configuration) as daemon:
            await daemon.web.get("/-/healthy")
            configuration.options["web"] = {"max_requests": 7}
            with structlog.testing.capture_logs() as lines:
                assert await daemon.reload() == (200, "Reloaded.")
            assert "changed web and log options require a restart" in [line["event"] for line in lines]

    bounded(test())


def test_new_prices_are_on_the_page_without_a_poll(api: FaultyApi) -> None:
    async def test() -> None:
        configuration = Configuration(project("p", api.url("p")), gpu_hourly_cost={"h100": 2.0})
        async with running(configuration) as daemon:
            await daemon.shows('together_gpu_hourly_cost{gpu_type="h100"} 2.0')
            configuration.options["gpu_hourly_cost"] = {"h100": 2.5}
            assert await daemon.reload() == (200, "Reloaded.")
            assert 'together_gpu_hourly_cost{gpu_type="h100"} 2.5' in await daemon.metrics()

    bounded(test())


def test_a_fetch_that_is_turned_off_takes_its_series_along(api: FaultyApi) -> None:
    async def test() -> None:
        api.answers["p"] = listed(GOOD)
        configuration = Configuration(project("p", api.url("p"), queue=True))
        async with running(configuration) as daemon:
            await daemon.shows(ready("p"))
            assert any('fetch="queue"' in line for line in await daemon.metrics())
            configuration.projects = (project("p", api.url("p")),)
            assert await daemon.reload() == (200, "Reloaded.")
            assert not any('fetch="queue"' in line for line in await daemon.metrics())

    bounded(test())


def test_another_fetch_keeps_what_is_known(api: FaultyApi) -> None:
    async def test() -> None:
        api.answers["p"] = listed(GOOD)
        configuration = Configuration(project("p", api.url("p")))
        async with running(configuration) as daemon:
            await daemon.shows(ready("p"))
            api.answers["p"] = http(b"", "503 Busy")
            configuration.projects = (project("p", api.url("p"), fetch="each", deployments=["x"]),)
            assert await daemon.reload() == (200, "Reloaded.")
            assert ready("p") in await daemon.metrics()
            assert (await daemon.web.get("/-/ready")).status_code == 200

    bounded(test())
