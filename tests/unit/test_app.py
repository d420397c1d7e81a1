"""The wiring in this process: settings become plans and targets; a reload swaps in what changed and nothing else."""

from __future__ import annotations

import asyncio
import gc
import json
import logging
import os
import signal
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import structlog

from exporter.app import App
from exporter.polling.plan import Plan
from exporter.settings.problems import ConfigError, Problem
from exporter.state.records import Limits, Target
from tests.e2e.faulty_api import GOOD, FaultyApi, good, http, listed
from tests.unit.running import Configuration, bounded, eventually, project, ready, running

SUCCESSFUL = "together_exporter_config_last_reload_successful"


@pytest.fixture(autouse=True)
def _restored() -> Iterator[None]:
    """What the daemon sets for the whole process."""
    root, thresholds = logging.getLogger(), gc.get_threshold()
    handlers, level = list(root.handlers), root.level
    yield
    structlog.reset_defaults()
    root.handlers[:] = handlers
    root.setLevel(level)
    gc.set_threshold(*thresholds)


@pytest.fixture
def api() -> Iterator[FaultyApi]:
    with FaultyApi() as server:
        yield server


def test_what_is_polled_and_when() -> None:
    app = App(
        Configuration(
            project("named", deployments=["a", {"name": "b", "poll_interval": "2m"}]),
            project("listed", fetch="list", deployments=["a", "b"], queue=True),
            project("all", poll_interval="10s", revisions=True),
            project("extra", deployments=["c"], queues=["jobs"]),
        ).load
    )
    assert app.plans == [
        Plan("named", "each", 3600.0, "a"),
        Plan("named", "each", 120.0, "b"),
        Plan("listed", "list", 3600.0),
        Plan("listed", "queue", 3600.0),
        Plan("all", "list", 10.0),
        Plan("all", "revisions", 10.0),
        Plan("extra", "each", 3600.0, "c"),
        Plan("extra", "queue", 3600.0),
    ]


def test_a_named_queue_is_read_by_the_shard_it_belongs_to() -> None:
    def polled_by(index: int) -> set[str]:
        shard = {"index": index, "total": 2}
        configuration = Configuration(project("p", deployments=["a"], queues=["q1", "q2", "q3", "q4"]), shard=shard)
        app = App(configuration.load)
        queues = {queue for each in app.store.projects.values() for queue in each.target.queues}
        assert ("queue" in {plan.fetch for plan in app.plans}) == bool(queues)
        return queues

    assert polled_by(0) | polled_by(1) == {"q1", "q2", "q3", "q4"}
    assert not polled_by(0) & polled_by(1)


def test_the_store_is_told_what_is_configured() -> None:
    configuration = Configuration(
        project("p", stale_after="2h", include=["prod-.*"], exclude=[".*-x"]),
        project("q", deployments=["a"]),
        replica_metrics=False,
        max_replicas_per_deployment=7,
        max_deployments_per_project=9,
    )
    targets = {name: value.target for name, value in App(configuration.load).store.projects.items()}
    limits = Limits(replica_metrics=False, max_replicas_per_deployment=7, max_deployments_per_project=9)
    assert targets == {
        "p": Target("p", None, True, 7200.0, limits, ("prod-.*",), (".*-x",)),
        "q": Target("q", ("a",), False, 10_800.0, limits),
    }


def test_a_shard_polls_its_own_deployments_only() -> None:
    names = [f"d{number}" for number in range(20)]
    shards = [
        App(Configuration(project("p", deployments=names), shard={"index": index, "total": 3}).load)
        for index in range(3)
    ]
    keys = [plan.key for app in shards for plan in app.plans]
    assert sorted(keys) == sorted(names)


def test_a_start_that_cannot_work_is_a_configuration_error() -> None:
    with pytest.raises(ConfigError, match=r"is not a valid URL \(invalid idna hostname\)"):
        App(Configuration(project("p", "https://\xe9..x/v1")).load)


def test_a_shard_without_deployments_is_ready_and_has_a_page() -> None:
    async def test() -> None:
        configuration = Configuration(project("p", deployments=["d0"]), shard={"index": 0, "total": 2})
        other = Configuration(project("p", deployments=["d0"]), shard={"index": 1, "total": 2})
        (empty,) = (each for each in (configuration, other) if not App(each.load).plans)
        async with running(empty) as daemon:
            await daemon.shows("together_exporter_shards 2.0")
            assert not any("together_project" in line for line in await daemon.metrics())
            assert (await daemon.web.get("/-/ready")).status_code == 200

    bounded(test())


def test_ready_only_when_every_project_was_polled_and_is_on_the_page(api: FaultyApi) -> None:
    async def test() -> None:
        opened = asyncio.Event()

        async def hang(writer: asyncio.StreamWriter) -> None:
            while not opened.is_set():  # noqa: ASYNC110 - in the loop of another thread
                await asyncio.sleep(0.005)
            writer.write(http(b"{}", "401 Unauthorized"))

        api.answers |= {"p": listed(GOOD), "q": hang}
        async with running(Configuration(project("p", api.url("p")), project("q", api.url("q")))) as daemon:
            await daemon.shows(ready("p"))
            assert (await daemon.web.get("/-/ready")).status_code == 503
            opened.set()

            async def is_ready() -> bool:
                return (await daemon.web.get("/-/ready")).status_code == 200

            await eventually(is_ready)
            assert 'together_project_poll_error{project="q",reason="unauthorized"} 1.0' in await daemon.metrics()

    bounded(test())


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


@pytest.mark.parametrize("change", [{"poll_timeout": "4m"}, {"queue": True}, {"max_requests_per_second": 50}], ids=str)
def test_a_reload_ends_no_pause_that_the_api_asked_for(change: dict[str, Any], api: FaultyApi) -> None:
    async def test() -> None:
        api.answers["p"] = http(b"", "429 Too Many Requests", "retry-after: 60\r\n")
        configuration = Configuration(project("p", api.url("p")))
        async with running(configuration) as daemon:
            await daemon.shows('together_exporter_polls_total{fetch="list",project="p"} 1.0')
            configuration.projects = (project("p", api.url("p"), **change),)
            assert await daemon.reload() == (200, "Reloaded.")
            await daemon.shows('together_exporter_polls_total{fetch="list",project="p"} 2.0')
            assert len(api.requests["p"]) == 1

    bounded(test())


@pytest.mark.parametrize("change", [{"api_key": "other"}, {"base_url": "x/v1"}], ids=str)
def test_another_key_or_base_url_has_a_rate_limit_of_its_own(change: dict[str, Any], api: FaultyApi) -> None:
    async def test() -> None:
        api.answers |= {"p": http(b"", "429 Too Many Requests", "retry-after: 60\r\n"), "x": listed(GOOD)}
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


def test_the_status_says_when_each_project_was_and_will_be_polled(api: FaultyApi) -> None:
    async def test() -> None:
        api.answers["p"] = listed(GOOD)
        async with running(Configuration(project("p", api.url("p")))) as daemon:
            await daemon.shows(ready("p"))
            status = json.loads((await daemon.web.get("/api/v1/status")).text)
            (seen,) = status["projects"]
            assert seen["last_poll"] <= status["now"] < seen["next_poll"]
            assert (seen["poll_success"], status["ready"], status["configuration_error"]) == (True, True, None)

    bounded(test())


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_and_its_handlers_are_gone(number: signal.Signals, api: FaultyApi) -> None:
    before = [signal.getsignal(each) for each in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)]

    async def test() -> None:
        async with running(Configuration(project("p", api.url("p")))) as daemon:
            await daemon.web.get("/-/healthy")
            os.kill(os.getpid(), number)
            await daemon.serving

    bounded(test())
    assert [signal.getsignal(each) for each in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)] == before


def test_sighup_reloads(api: FaultyApi) -> None:
    async def test() -> None:
        configuration = Configuration(project("p", api.url("p")))
        async with running(configuration) as daemon:
            await daemon.web.get("/-/healthy")
            configuration.error = RuntimeError("a bug")
            os.kill(os.getpid(), signal.SIGHUP)
            await daemon.shows(f"{SUCCESSFUL} 0.0")

    bounded(test())


def test_once_polls_everything_queues_last_and_has_the_page(api: FaultyApi) -> None:
    async def test() -> None:
        scaled = {**GOOD, "autoscaling": {"metric": "QueueBacklogPerWorker", "target": 5, "model": "jobs"}}
        api.answers |= {"p": listed(scaled), "q": http(b"{}", "401 Unauthorized")}
        app = App(Configuration(project("p", api.url("p"), queue=True), project("q", api.url("q"))).load)
        ended: list[None] = []
        assert not await app.poll_once(lambda: ended.append(None))
        assert len(ended) == len(app.plans) == 3
        assert [head.split(" ")[1] for head in api.requests["p"]] == [
            "/p/v1/deployments",
            "/p/v1/queue/metrics?model=jobs",
        ]
        text = (await app.page()).decode()
        assert ready("p") in text.splitlines()
        assert await app.names("p") == ["x", "dep_x"]
        assert await app.names("q") == []
        await app.close()

    bounded(test())
