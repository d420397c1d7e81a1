"""What an operator reads: one line for each change of state, by the deployment's name; repeats are counters."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import structlog

from exporter.api.errors import ERRORS, Forbidden, InvalidResponse, NotFound, PollTimeout, ServerError, Unauthorized
from exporter.polling.fetches import Name
from exporter.polling.reporting import DROP_MESSAGES, REMINDER_INTERVAL, Reporter
from exporter.state.records import Limits, Target
from tests.pipeline import run
from tests.unit.polling.harness import QUEUE_BODY, Answer, Harness, body, error, listed, one

FIRST = "first poll succeeded"
EACH = Target("p", ("dep_1", "dep_2"), is_listed=False)


class Log:
    """The lines of a project's polls; `first`: those about the first success, which are left out of the others."""

    def __init__(self, target: Target, **answers: Answer) -> None:
        self.harness = Harness(target, answers)
        self.first: list[Any] = []

    def after(self, fetch: Name, key: str = "", answer: Answer | None = None, second: float = 0.0) -> list[Any]:
        """The lines of a poll that gets this answer at this time."""
        if answer is not None:
            self.harness.api.answers[f"deployments/{key}" if key else "deployments"] = answer
        self.harness.second = second
        with structlog.testing.capture_logs() as lines:
            run(self.harness.poll(fetch, key))
        self.first += [dict(line) for line in lines if line["event"] == FIRST]
        return [dict(line) for line in lines if line["event"] != FIRST]

    def list(self, *items: dict[str, Any], second: float = 0.0, **more: Any) -> list[Any]:
        return self.after("list", "", listed(*items, **more), second)


def line(event: str, level: str = "info", **fields: Any) -> dict[str, Any]:
    return {"event": event, "log_level": level, "project": "p", **fields}


def failed(reason: str, says: str, **fields: Any) -> dict[str, Any]:
    hint = next(kind.hint for kind in ERRORS if kind.reason == reason)
    return line("poll failed", "warning", reason=reason, error=says, hint=hint, next_in="30s", **fields)


TIMEOUT = error(PollTimeout)


def test_a_failure_is_one_line_and_its_end_another() -> None:
    log = Log(EACH)
    assert log.after("each", "dep_1", body()) == []
    assert log.after("each", "dep_1", TIMEOUT, 30.0) == [failed("timeout", str(TIMEOUT), deployment="chat")]
    for second in (60.0, 90.0):
        assert log.after("each", "dep_1", TIMEOUT, second) == []
    assert log.after("each", "dep_1", body(), 120.0) == [line("poll recovered", deployment="chat")]
    assert log.after("each", "dep_1", body(), 150.0) == []


def test_before_its_name_is_known_a_deployment_is_named_as_it_is_configured() -> None:
    (logged,) = Log(EACH).after("each", "dep_1", TIMEOUT)
    assert logged["deployment"] == "dep_1"


def test_another_reason_is_another_line_that_says_for_how_long_it_fails() -> None:
    log = Log(EACH)
    log.after("each", "dep_1", TIMEOUT)
    refused = error(Forbidden)
    assert log.after("each", "dep_1", refused, 45.0) == [
        failed("forbidden", str(refused), deployment="dep_1", failing_for="45s")
    ]


def test_a_failure_that_lasts_is_logged_again_every_ten_minutes() -> None:
    log = Log(EACH)
    log.after("each", "dep_1", TIMEOUT)
    seconds = [30.0 * number for number in range(1, 61)]
    logged = {second: log.after("each", "dep_1", TIMEOUT, second) for second in seconds}
    assert {second for second, lines in logged.items() if lines} == {
        REMINDER_INTERVAL,
        2 * REMINDER_INTERVAL,
        3 * REMINDER_INTERVAL,
    }
    (reminder,) = logged[REMINDER_INTERVAL]
    assert (reminder["event"], reminder["failing_for"]) == ("poll still failing", "600s")


def test_a_reason_that_returns_is_logged_again() -> None:
    log = Log(EACH)
    refused = error(Unauthorized)
    reasons = {0.0: refused, 240.0: TIMEOUT, 260.0: refused, 280.0: TIMEOUT, 300.0: refused, 870.0: refused}
    logged = {second: log.after("each", "dep_1", each, second) for second, each in reasons.items()}
    assert {second: [line["reason"] for line in lines] for second, lines in logged.items() if lines} == {
        0.0: ["unauthorized"],
        240.0: ["timeout"],
        260.0: ["unauthorized"],
        870.0: ["unauthorized"],
    }
    assert log.after("each", "dep_2", refused, 900.0) == [], "one line for all"


def test_the_api_s_own_id_of_the_request_is_in_the_line() -> None:
    (logged,) = Log(EACH).after("each", "dep_1", ServerError("HTTP 500", request_id="req-77"))
    assert logged["request_id"] == "req-77"


@pytest.mark.parametrize("kind", [Unauthorized, PollTimeout, ServerError])
def test_what_fails_for_the_whole_project_is_logged_once(kind: type[PollTimeout]) -> None:
    log = Log(EACH)
    assert len(log.after("each", "dep_1", error(kind))) == 1
    assert log.after("each", "dep_2", error(kind)) == []
    assert len(log.after("each", "dep_1", body(), 30.0)) == 1, "the one that was logged has recovered"
    assert log.after("each", "dep_2", body(name="embed"), 30.0) == []


@pytest.mark.parametrize("kind", [NotFound, InvalidResponse])
def test_what_concerns_one_deployment_is_logged_for_each(kind: type[NotFound]) -> None:
    log = Log(EACH)
    assert [len(log.after("each", key, error(kind))) for key in ("dep_1", "dep_2")] == [1, 1]


def test_an_exception_of_ours_is_logged_for_each_deployment_and_not_at_each_poll() -> None:
    log = Log(EACH)
    bug = RuntimeError("a bug")
    logged = [log.after("each", key, bug, second) for second in (0.0, 30.0) for key in ("dep_1", "dep_2")]
    assert [len(lines) for lines in logged] == [1, 1, 0, 0]
    assert logged[0] == [
        line(
            "unexpected exception in poll (please report)",
            "error",
            deployment="dep_1",
            reason="internal_error",
            error="RuntimeError",
            exc_info=True,
            next_in="30s",
        )
    ]
    assert log.after("each", "dep_1", body(), 60.0) == [line("poll recovered", deployment="chat")]


def test_one_that_still_fails_when_the_one_that_was_logged_is_back_gets_its_own_line() -> None:
    log = Log(EACH)
    log.after("each", "dep_1", TIMEOUT)
    assert log.after("each", "dep_2", TIMEOUT) == []
    log.after("each", "dep_1", body(), 30.0)
    assert log.after("each", "dep_2", TIMEOUT, 30.0) == [
        failed("timeout", str(TIMEOUT), deployment="dep_2", failing_for="30s")
    ]
    assert log.after("each", "dep_2", TIMEOUT, 60.0) == []
    assert len(log.after("each", "dep_2", body(), 90.0)) == 1


def test_a_recovery_is_logged_where_any_line_was_about_the_deployment() -> None:
    log = Log(EACH)
    log.after("each", "dep_1", error(NotFound))
    log.after("each", "dep_2", TIMEOUT)
    assert log.after("each", "dep_1", TIMEOUT, 30.0) == [], "the other's line stands for both"
    assert log.after("each", "dep_1", body(), 60.0) == [line("poll recovered", deployment="chat")]


def test_a_failed_list_is_one_line_for_all_and_so_is_its_end() -> None:
    log = Log(Target("p"))
    items = [one(f"chat-{number}", f"dep_{number}") for number in range(300)]
    assert log.list(*items) == []
    assert log.after("list", "", TIMEOUT, 30.0) == [failed("timeout", str(TIMEOUT))]
    assert log.list(*items, second=60.0) == [line("poll recovered")]


def test_a_404_for_the_list_is_told_as_what_it_is() -> None:
    assert Log(Target("p")).after("list", "", NotFound("HTTP 404")) == [failed("invalid_response", "HTTP 404")]


def test_deployments_that_appear_go_and_come_back() -> None:
    log = Log(Target("p"))
    log.list(one())
    assert log.list(one(), one("embed", "dep_2")) == [line("deployment appeared", deployment="embed")]
    gone = line("deployment disappeared", deployment="chat", reason="no longer listed by the API")
    assert log.list(one("embed", "dep_2")) == [gone]
    assert log.list(one(), one("embed", "dep_2")) == [line("deployment reappeared", deployment="chat")]


def test_after_more_than_stale_after_it_is_a_new_one() -> None:
    log = Log(Target("p", stale_after=300.0))
    log.list(one())
    log.list(second=30.0)
    log.list(second=330.0)
    assert log.list(one(), second=360.0) == [line("deployment appeared", deployment="chat")]


def test_after_a_list_that_failed_first_the_fleet_is_not_told_one_by_one() -> None:
    log = Log(Target("p"))
    log.after("list", "", TIMEOUT)
    assert log.list(one(), one("embed", "dep_2"), second=30.0) == [line("poll recovered")]


def test_the_first_success_of_a_project_is_a_line() -> None:
    by_list, by_one = Log(Target("p")), Log(EACH)
    by_list.after("list", "", TIMEOUT)
    for second in (30.0, 60.0):
        by_list.list(one(), one("embed", "dep_2"), second=second)
    assert by_list.first == [line(FIRST, fetch="list", deployments=2, took="0.000s")]
    for key in ("dep_1", "dep_2"):
        by_one.after("each", key, body())
    assert by_one.first == [line(FIRST, fetch="each", deployment="chat", took="0.000s")]


def test_the_first_success_after_a_reload_is_no_line() -> None:
    log = Log(EACH)
    log.after("each", "dep_1", body())
    log.harness.replace_poller()
    log.after("each", "dep_2", body())
    assert len(log.first) == 1


@pytest.mark.parametrize("is_listed", [True, False], ids=["list", "each"])
def test_a_change_of_status_is_a_line(*, is_listed: bool) -> None:
    log = Log(Target("p", ("dep_1",), is_listed=is_listed))

    def poll(status: str | None) -> list[Any]:
        if is_listed:
            return log.list(one(status=status))
        return log.after("each", "dep_1", body(status=status))

    poll("Ready")
    changed = line("status changed", deployment="chat", before="Ready", after="Failed")
    assert [poll(status) for status in ("Ready", "Failed", "Failed", None)] == [[], [changed], [], []]
    assert poll("Ready") == [line("status changed", deployment="chat", before="Failed", after="Ready")]


def test_a_status_that_changed_while_it_was_missing_is_told() -> None:
    log = Log(Target("p"))
    log.list(one())
    log.list()
    back, changed = log.list(one(status="Failed"))
    assert back == line("deployment reappeared", deployment="chat")
    assert changed == line("status changed", deployment="chat", before="Ready", after="Failed")


def test_another_deployment_under_the_same_key_has_changed_nothing() -> None:
    log = Log(Target("p", ("chat",), is_listed=False))
    log.after("each", "chat", body(status="Failed"))
    assert log.after("each", "chat", body(id_="dep_9")) == []


def test_a_configured_one_that_the_list_lacks_is_a_failed_poll_of_its_own() -> None:
    log = Log(Target("p", ("chat", "nope")))
    missing = line("poll failed", "warning", deployment="nope", reason="not_found", error="not in the project's list")
    assert missing in log.list(one())
    assert log.list(one(), second=30.0) == []
    assert log.list(one(), one("nope", "dep_2"), second=60.0) == [line("poll recovered", deployment="nope")]


def test_an_item_that_cannot_be_read_is_a_failed_poll_of_its_own() -> None:
    log = Log(Target("p"))
    log.list(one(), one("embed", "dep_2"))
    (logged,) = log.list(one(), one("embed", "dep_2", image="x" * 2**20))
    assert (logged["event"], logged["deployment"], logged["reason"]) == ("poll failed", "embed", "invalid_response")
    assert log.list(one(), one("embed", "dep_2")) == [line("poll recovered", deployment="embed")]


def test_a_list_that_is_not_complete_is_a_warning_that_is_not_repeated() -> None:
    log = Log(Target("p"))
    log.list(one(), one("embed", "dep_2"))
    logged = log.list(one(), second=30.0, has_more=True)
    assert [(each["log_level"], each["event"], each["missing"]) for each in logged] == [
        ("warning", "list is incomplete", 1)
    ]
    assert log.list(one(), second=60.0, has_more=True) == []
    again = log.list(one(), one("embed", "dep_2"), second=90.0)
    assert [(each["log_level"], each["event"]) for each in again] == [("info", "list is complete again")]


def test_a_first_list_that_is_not_complete_is_a_warning() -> None:
    logged = Log(Target("p")).list(one(), has_more=True)
    assert ("warning", "list is incomplete") in {(each["log_level"], each["event"]) for each in logged}


def test_values_of_one_field_are_counted_together() -> None:
    replicas = {f"r{number}": {"replica_status": 5} for number in range(3)}
    logged = Log(Target("p")).list(one(replica_events=replicas))
    assert [each["count"] for each in logged if each.get("reason") == "invalid_value"] == [3]


DROPS: dict[str, tuple[Target, list[dict[str, Any]], dict[str, Any]]] = {
    "replica_limit": (
        Target("p", limits=Limits(max_replicas_per_deployment=1)),
        [one(replica_events={f"r{number}": {"replica_status": "Running"} for number in range(3)})],
        {"deployment": "chat", "field": "replica_events", "count": 2},
    ),
    "deployment_limit": (
        Target("p", limits=Limits(max_deployments_per_project=1)),
        [one(), one("b", "dep_2"), one("c", "dep_3")],
        {"count": 2},
    ),
    "duplicate_deployment": (Target("p"), [one(), one()], {"deployment": "chat", "count": 1}),
    "invalid_value": (Target("p"), [one(memory="much")], {"deployment": "chat", "field": "memory", "count": 1}),
    "label_length_limit": (Target("p"), [one(image="x" * 2000)], {"deployment": "chat", "field": "image", "count": 1}),
    "entry_limit": (
        Target("p"),
        [one(volumes=[{"name": "v"}] * 1003)],
        {"deployment": "chat", "field": "volumes", "count": 3},
    ),
}


@pytest.mark.parametrize("reason", DROP_MESSAGES)
def test_what_is_left_out_is_named_once_by_the_deployments_name(reason: str) -> None:
    target, items, fields = DROPS[reason]
    log = Log(target)
    warnings = [each for each in log.list(*items) if each["log_level"] == "warning"]
    assert warnings == [line(DROP_MESSAGES[reason], "warning", reason=reason, **fields)]
    assert log.list(*items) == []


def test_another_field_that_is_left_out_is_another_line_and_the_old_one_is_not_repeated() -> None:
    log = Log(Target("p"))
    log.list(one(memory="much"))
    (logged,) = log.list(one(memory="much", cpu="many"))
    assert logged["field"] == "cpu"


def test_what_is_left_out_is_told_again_when_it_was_gone_in_between() -> None:
    log = Log(Target("p"))
    log.list(one(memory="much"))
    log.list()
    assert [each["event"] for each in log.list(one(memory="much"))] == [
        "deployment reappeared",
        DROP_MESSAGES["invalid_value"],
    ]


def test_a_queue_is_told_by_its_name() -> None:
    log = Log(Target("p", queues=("jobs",)), jobs=TIMEOUT)
    assert log.after("queue") == [failed("timeout", str(TIMEOUT), queue="jobs")]
    log.harness.api.answers["jobs"] = QUEUE_BODY
    assert log.after("queue") == [line("poll recovered", queue="jobs")]


def test_requests_are_counted_by_code() -> None:
    log = Log(EACH)
    reporter = Reporter("p", log.harness.metrics)
    for code in ("200", "200", "error"):
        reporter.request_ended(code)
    counts = {code: log.harness.count("together_exporter_api_requests_total", code=code) for code in ("200", "error")}
    assert counts == {"200": 2, "error": 1}


def lines_of(outcomes: Iterator[Answer]) -> int:
    """How many lines a deployment's polls make, one every 30 s."""
    log = Log(EACH)
    return sum(len(log.after("each", "dep_1", answer, 30.0 * turn)) for turn, answer in enumerate(outcomes))


def test_flapping_is_two_lines_a_turn_and_no_more() -> None:
    assert lines_of(iter([body(), TIMEOUT] * 5)) == 9
