"""Values as the API sends them: times, numbers as text, control characters; what is no value is left out."""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import pytest

from tests.canaries import API_KEY
from tests.conftest import until
from tests.e2e.conftest import Process, Start
from tests.e2e.observed import DROPPED, Page, config, news, page, polled, project, soon, started
from tests.e2e.scripted_api import Answer, ScriptedApi, item, listed, one

LIST = "p/deployments"
TEN = datetime(2026, 10, 1, 10, tzinfo=UTC).timestamp()
TIMES: dict[str, tuple[str, set[float]]] = {  # as it is sent, and what it may be read as
    "iso": ("2026-10-01T10:00:00Z", {TEN}),
    "offset": ("2026-10-01T12:00:00+02:00", {TEN}),
    "nanoseconds": ("2026-10-01T10:00:00.000000001Z", {TEN}),
    "go": ("2026-10-01 10:00:00 +0000 UTC", {TEN}),
    "go-offset": ("2026-10-01 12:00:00 +0200 CEST", {TEN}),
    "go-fraction": ("2026-10-01 10:00:00.5 +0000 UTC", {TEN + 0.5}),
    "lower-case": ("2026-10-01t10:00:00z", {TEN}),
    "lower-case-z": ("2026-10-01T10:00:00z", {TEN}),
    "second-60": ("2026-10-01T09:59:60Z", {TEN, TEN - 1}),
    "hour-24": ("2026-09-30T24:00:00Z", {TEN - 10 * 3600}),
}
NONSENSE = {
    "word": "yesterday",
    "month-13": "2026-13-01T10:00:00Z",
    "february-30": "2026-02-30T10:00:00Z",
    "hour-25": "2026-10-01T25:00:00Z",
    "second-61": "2026-10-01T10:00:61Z",
    "year-10000": "10000-01-01T00:00:00Z",
    "offset-99": "2026-10-01T10:00:00+99:99",
    "half-a-date": "2026-10",
}
NUMBERS: dict[str, str] = {  # metric by the field that may be a number as text
    "ready_replicas": "together_deployment_replicas_ready",
    "desired_replicas": "together_deployment_replicas_desired",
    "min_replicas": "together_deployment_replicas_min",
    "max_replicas": "together_deployment_replicas_max",
    "gpu_count": "together_deployment_gpus_per_replica",
    "cpu": "together_deployment_cpu_cores",
    "memory": "together_deployment_memory_bytes",
    "storage": "together_deployment_storage_bytes",
}
TARGETS = {"1.05": 1.05, "100": 100.0, "1e3": 1000.0, "-2.5": -2.5}
NO_NUMBERS = {"word": "many", "empty": "", "nan": "nan", "infinity": "inf", "hexadecimal": "0x10", "beyond": "1e400"}
CONTROLS = "\r\v\f\x1c\x1d\x1e\x1f\x85\u2028\u2029\0\x1b\x07\x7f\x9b"
RESTORED_MEMORY = 3 * 2**30


def replica(**more: Any) -> dict[str, Any]:
    return {"replica_status": "Running", **more}


def ready_since(name: str, since: Any) -> dict[str, Any]:
    return item(f"dep_{name}", name, replica_events={f"{name}-0": replica(replica_ready_since=since)})


def odd_fleet() -> list[dict[str, Any]]:
    times = {name: sent for name, (sent, _) in TIMES.items()}
    fleet = [ready_since(f"time-{name}", sent) for name, sent in {**times, **NONSENSE, "empty": ""}.items()]
    fleet.append(ready_since("time-null", None))
    fleet += [item(f"dep_{field}", f"text-{field}", **{field: "3"}) for field in NUMBERS]
    fleet += [item(f"dep_n{n}", f"word-{n}", **dict.fromkeys(NUMBERS, sent)) for n, sent in NO_NUMBERS.items()]
    for sent in TARGETS:
        fleet.append(item(f"dep_t{sent}", f"target-{sent}", autoscaling={"metric": "GPU", "target": sent}))
    volumes = [{"name": "weights", "mount_path": "/w", "version": "3"}]
    fleet.append(item("dep_volume", "text-version", volumes=volumes))
    return fleet


@dataclass
class Seen:
    page: Page
    log: list[str]

    def ready(self, name: str) -> tuple[float | None, float | None]:
        """(readiness, since when)"""
        series = {"deployment": f"time-{name}", "replica": f"time-{name}-0"}
        since = self.page.value("together_replica_ready_timestamp_seconds", **series)
        return self.page.value("together_replica_ready", **series), since


@pytest.fixture(scope="module")
def seen(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Seen]:
    """What one daemon shows of a fleet in which each deployment has one odd value."""
    file = tmp_path_factory.mktemp("values") / "exporter.yml"
    fleet = odd_fleet()
    with ScriptedApi() as api:
        api.script[LIST] = listed(*fleet)
        file.write_text(config(project(api)))
        options = [f"--config.file={file}", "--web.listen-address=127.0.0.1:0"]
        daemon = Process(["serve", *options], {"TOGETHER_API_KEY": API_KEY})
        try:
            until(lambda: len(page(daemon).names()) == len(fleet), "all are shown")
            polled(api, LIST, 3)
            yield Seen(page(daemon), news(daemon))
        finally:
            daemon.stop()


UNREAD = {"go", "go-offset", "go-fraction", "lower-case", "lower-case-z", "second-60", "hour-24"}


@pytest.mark.parametrize("form", TIMES)
def test_a_time_is_read_in_each_form_that_the_api_uses(form: str, seen: Seen) -> None:
    ready, since = seen.ready(form)
    assert ready == 1
    assert since in TIMES[form][1]


@pytest.mark.parametrize("form", NONSENSE)
def test_a_replica_is_ready_since_a_time_that_cannot_be_read(form: str, seen: Seen) -> None:
    assert seen.ready(form) == (1, None)


@pytest.mark.parametrize("form", ["empty", "null"])
def test_a_replica_without_a_time_is_not_ready(form: str, seen: Seen) -> None:
    assert seen.ready(form) == (0, None)


@pytest.mark.parametrize("field", NUMBERS)
def test_a_number_that_is_sent_as_text_is_a_number(field: str, seen: Seen) -> None:
    expected = {"memory": RESTORED_MEMORY, "storage": RESTORED_MEMORY}.get(field, 3)
    found = seen.page.series(NUMBERS[field], deployment=f"text-{field}")
    assert [value for _, value in found] == [expected]


@pytest.mark.parametrize("sent", TARGETS)
def test_an_autoscaling_target_that_is_sent_as_text_is_a_number(sent: str, seen: Seen) -> None:
    found = seen.page.series("together_deployment_autoscaling_target", deployment=f"target-{sent}")
    assert [value for _, value in found] == [TARGETS[sent]]


def test_a_volume_version_that_is_sent_as_text_is_shown(seen: Seen) -> None:
    found = seen.page.series("together_deployment_volume_info", deployment="text-version")
    assert [labels["version"] for labels, _ in found] == ["3"]


@pytest.mark.parametrize("form", NO_NUMBERS)
def test_text_that_is_no_number_gives_no_series(form: str, seen: Seen) -> None:
    assert [metric for metric in NUMBERS.values() if seen.page.series(metric, deployment=f"word-{form}")] == []


def test_no_warning_is_about_a_number_that_is_sent_as_text(seen: Seen) -> None:
    warnings = [line for line in seen.log if "level=warn" in line]
    assert [line for line in warnings if "text-" in line or "target-" in line or "dep_t" in line] == []


@pytest.fixture
def api() -> Iterator[ScriptedApi]:
    with ScriptedApi() as server:
        yield server


def shown(api: ScriptedApi, start: Start, *items: dict[str, Any] | bytes, **settings: Any) -> Process:
    api.script[LIST] = listed(*items)
    daemon = started(start, project(api, **settings))
    soon(lambda: len(page(daemon).names()) == len(items), "all are shown", api, polls=100)
    return daemon


def test_numbers_as_text_are_not_counted_as_dropped(api: ScriptedApi, start: Start) -> None:
    scaling = {"metric": "GPU", "target": "1.05"}
    numbers = item("dep_1", "chat", autoscaling=scaling, **dict.fromkeys(NUMBERS, "3"))
    daemon = shown(api, start, numbers, item("dep_2", "odd", cpu="many"))
    polled(api, LIST, 3)
    assert page(daemon).total(DROPPED, project="p") == 1, "the one that is no number"


def test_a_queue_of_which_the_numbers_are_text_is_shown(api: ScriptedApi, start: Start) -> None:
    api.script["p/queue/metrics?model=q1"] = Answer(b'{"messages_waiting": "5", "messages_running": "2"}')
    scaling = {"metric": "QueueBacklogPerWorker", "model": "q1", "target": 10}
    daemon = shown(api, start, item("dep_1", "chat", autoscaling=scaling), queue=True)

    def jobs() -> list[float]:
        return sorted(value for _, value in page(daemon).series("together_queue_jobs", project="p"))

    soon(lambda: jobs() == [2, 5], "the queue is shown", api)


def test_terminated_replicas_of_the_current_revision_are_not_updated_ones(api: ScriptedApi, start: Start) -> None:
    variables = [{"name": "TOGETHER_DEPLOYMENT_REVISION_ID", "value": "rev-2"}]
    states = [("Running", "rev-2"), ("Waiting", "rev-2"), ("Terminated", "rev-2"), ("Terminated", "rev-2")]
    states += [("Running", "rev-1"), ("Terminated", "rev-1")]
    events = {f"r-{n}": {"replica_status": s, "revision_id": revision} for n, (s, revision) in enumerate(states)}
    daemon = shown(api, start, item("dep_1", "chat", environment_variables=variables, replica_events=events))
    assert page(daemon).value("together_deployment_replicas_updated", "chat") == 2
    assert page(daemon).value("together_deployment_replicas", "chat", status="Terminated") == 3


@pytest.mark.parametrize("field", ["memory", "storage"])
def test_a_size_beyond_every_number_is_left_out(field: str, api: ScriptedApi, start: Start) -> None:
    daemon = shown(api, start, item("dep_1", "chat", **{field: 1e308}), item("dep_2", "embed", **{field: 3}))
    metric = f"together_deployment_{field}_bytes"
    assert page(daemon).value(metric, "chat") is None
    assert page(daemon).value(metric, "embed") == RESTORED_MEMORY
    assert re.search(r" [+-]?Inf$", page(daemon).text, re.MULTILINE) is None


@pytest.mark.parametrize("field", ["memory", "storage"])
def test_a_size_beyond_every_number_is_counted(field: str, api: ScriptedApi, start: Start) -> None:
    daemon = shown(api, start, item("dep_1", "chat", **{field: 1e308}))
    polled(api, LIST, 3)
    assert page(daemon).total(DROPPED, project="p") == 1


def controlled(at: int, control: str) -> dict[str, Any]:
    """A deployment that has a control character in every text that becomes a label."""
    odd = f"a{control}b"
    return item(
        f"dep_{at}{control}",
        f"chat{at}{control}x",
        status=odd,
        image=odd,
        gpu_type=odd,
        gpu_count=1,
        capacity_type=odd,
        autoscaling={"metric": odd, "target": 1, "custom_metric_name": odd},
        volumes=[{"name": odd, "mount_path": odd, "version": 1}],
        model_mounts=[{"model": odd, "mount_path": odd, "revision": odd}],
        environment_variables=[
            {"name": odd, "value_from_secret": odd, "value_from_secret_expires_at": "2026-10-01T10:00:00Z"},
            {"name": "TOGETHER_DEPLOYMENT_REVISION_ID", "value": odd},
        ],
        replica_events={
            f"{at}{control}r": replica(replica_status_reason=odd, image=odd, revision_id=odd, volume_preload_status=odd)
        },
    )


@pytest.mark.parametrize("accept", ["text/plain", "application/openmetrics-text; version=1.0.0"])
def test_no_control_character_splits_a_line_of_the_page(accept: str, api: ScriptedApi, start: Start) -> None:
    daemon = shown(api, start, *(controlled(at, control) for at, control in enumerate(CONTROLS)))
    text = daemon.get("/metrics", headers={"Accept": accept}).content.decode()
    assert text.splitlines() == text.removesuffix("\n").split("\n")
    left = {character for character in text if unicodedata.category(character) in ("Cc", "Zl", "Zp")} - {"\n"}
    assert left == set()


def test_names_that_differ_in_a_control_character_only_are_all_shown(api: ScriptedApi, start: Start) -> None:
    items = [item(f"dep_{n}", f"chat{control}") for n, control in enumerate("\r\x1c\u2028")]
    api.script[LIST] = listed(*items)
    daemon = started(start, project(api))
    soon(lambda: len(page(daemon).shown()) == 3, "each has a label of its own", api)
    assert sorted(page(daemon).shown().values()) == ["dep_0", "dep_1", "dep_2"]


UNKNOWN: dict[str, Any] = {"null": None, "empty": {}, "number": 5, "status-null": {"replica_status": None}}


@pytest.mark.parametrize("unknown", UNKNOWN)
def test_a_replica_of_unknown_status_is_not_taken_for_one_that_does_not_run(
    unknown: str, api: ScriptedApi, start: Start
) -> None:
    events = {"chat-0": UNKNOWN[unknown], "chat-1": replica()}
    daemon = shown(api, start, item("dep_1", "chat", replica_events=events))
    counts = page(daemon).series("together_deployment_replicas", deployment="chat")
    assert [(labels["status"], count) for labels, count in counts] == [("Running", 1)]


LOSSES: dict[str, dict[str, Any]] = {
    "unreadable-value": {"ready_replicas": "many"},
    "unreadable-part": {"volumes": [{"name": 17}]},
    "long-label": {"image": "x" * 2000},
    "many-entries": {"volumes": [{"name": f"v{n}", "mount_path": "/v", "version": 1} for n in range(1100)]},
    "many-replicas": {"replica_events": {f"r-{n}": {"replica_status": "Running"} for n in range(300)}},
}


@pytest.mark.parametrize("fetch", ["list", "each"])
@pytest.mark.parametrize("loss", LOSSES)
def test_a_warning_about_what_is_left_out_names_the_deployment(
    loss: str, fetch: str, api: ScriptedApi, start: Start
) -> None:
    api.script[LIST] = listed(item("dep_1", "chat", **LOSSES[loss]))
    api.script[f"{LIST}/dep_1"] = one("dep_1", "chat", **LOSSES[loss])
    path = LIST if fetch == "list" else f"{LIST}/dep_1"
    daemon = started(start, project(api, fetch=fetch, deployments=["dep_1"]))
    soon(lambda: page(daemon).names() == {"chat"}, "it is shown", api, path)
    polled(api, path, 3)
    lines = [line for line in news(daemon) if "level=warn" in line]
    assert len(lines) == 1, "once, not with each poll"
    assert "deployment=chat " in f"{lines[0]} "


def test_json_that_is_sent_with_odd_numbers_costs_no_other_deployment(api: ScriptedApi, start: Start) -> None:
    odd = json.dumps(item("dep_1", "chat", memory="@")).replace('"@"', "1e308").encode()
    daemon = shown(api, start, odd, item("dep_2", "embed", memory=3))
    assert page(daemon).value("together_deployment_poll_success", "chat") == 1
    assert page(daemon).value("together_deployment_poll_success", "embed") == 1
