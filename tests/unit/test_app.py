"""The wiring in this process: settings become plans and targets; start, signals, end."""

from __future__ import annotations

import asyncio
import json
import os
import signal

import pytest

from exporter.app import App
from exporter.polling.plan import Plan
from exporter.settings.problems import ConfigError
from exporter.state.records import Limits, Target
from tests.e2e.faulty_api import GOOD, FaultyApi, http, listed
from tests.unit.running import Configuration, bounded, eventually, project, ready, running

SUCCESSFUL = "together_exporter_config_last_reload_successful"
pytestmark = pytest.mark.usefixtures("restored_process")


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
