"""The page as text: what it says of a deployment and a project, and that nothing from the API becomes markup."""

from __future__ import annotations

import re
from dataclasses import replace
from html.parser import HTMLParser

import pytest

from exporter.api.errors import ApiError, Unauthorized
from exporter.api.models import Deployment
from exporter.api.reading import MAX_DEPLOYMENT, read_deployment
from exporter.state.instant import Instant
from exporter.state.records import Target
from exporter.state.store import Store
from exporter.status.model import Finding, Queue, Status
from exporter.status.report import report
from exporter.web.assets import CONTENT_SECURITY_POLICY, SCRIPT, STYLE
from exporter.web.page import MAX_REPLICAS, MAX_ROWS_WITH_DETAILS, StatusPage
from exporter.web.query import Query
from tests.hostile import hostile
from tests.pipeline import run
from tests.unit.status.facts import NOW, SINCE, facts, fail, fleet, project, replica, well

VOID = {"meta", "link", "input"}
PAGE = StatusPage("/metrics")
KEY = Unauthorized("HTTP 401 Unauthorized")
STALE = Instant(90 + 301.0, NOW.unix - 10 + 301)  # more than stale_after after the poll of facts.fleet
TURNING = "\u202egnitekram\u2069"  # characters that turn the direction of text


class Reader(HTMLParser):
    """The elements of a document; closes as they open."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.rows: list[str] = []
        self.links: list[str] = []
        self._text: list[str] = []
        self.feed(text)
        self.close()
        assert self.open == []
        self.text = " ".join("".join(self._text).split())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        attributes = dict(attrs)
        self.tags.append((tag, attributes))
        if tag == "a":
            self.links.append(attributes["href"] or "")
        if tag in {"td", "th", "tr", "li", "p", "option"}:
            self._text.append(" ")
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] not in {"script", "style"}:
            self._text.append(data)
        if self.open[-3:] == ["th", "a", "bdi"]:
            self.rows.append(data)

    def named(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.tags if name == tag]


def shown(*deployments: Deployment, query: Query | None = None, missing: str = "", **more: object) -> Reader:
    return shown_of(fleet(*deployments, missing=missing), query, **more)


def shown_of(store: Store, query: Query | None = None, **more: object) -> Reader:
    return page_of(run(report(facts(store, **more))), query)


def page_of(status: Status, query: Query | None = None, page: StatusPage = PAGE) -> Reader:
    return Reader(run(page.render(status, query or Query())).decode())


def down(*deployments: Deployment, error: ApiError = KEY, now: Instant = NOW) -> Reader:
    store = fleet(*deployments)
    fail(store, error)
    return shown_of(store, now=now)


VARIABLES = [{"name": "TOGETHER_DEPLOYMENT_REVISION_ID", "value": "new-revision"}]
EVENTS = {
    "r-1": replica(replica_ready_since=SINCE, revision_id="new-revision"),
    "r-2": replica(
        "Waiting",
        replica_status_reason="CrashLoopBackOff",
        replica_status_message="back-off 40s",
        revision_id="old-revision",
    ),
}
CHAT = well("chat", gpu_type="h100-80gb", gpu_count=8, environment_variables=VARIABLES, replica_events=EVENTS)


def test_a_row_says_what_an_operator_asks_for() -> None:
    text = shown(CHAT).text
    assert "chat ▲ warning: Ready since before 23:33 UTC 2/2 (––4) 8 × h100-80gb new-revi 1/2 updated – 10s ago" in text


def test_trouble_is_unfolded_with_findings_replicas_and_the_way_to_the_logs() -> None:
    page = shown(CHAT)
    assert "▲ 1 replica is crash looping (CrashLoopBackOff). Check the logs of the replica. Runbook" in page.text
    assert "▲ CrashLoopBackOff r-2 back-off 40s old revision old-revi" in page.text
    url = "http://api.example/v1/deployments/id-chat/logs?replica_id=r-2"
    assert f"curl -H \"Authorization: Bearer $TOGETHER_API_KEY\" '{url}'" in page.text
    assert "r-1" not in page.text, "of a deployment in trouble only what is not ready"
    assert any(link.endswith("/docs/runbooks/TogetherReplicaCrashLooping.md") for link in page.links)
    assert [each["data-default"] for each in page.named("details") if "open" in each] == ["True"]


def test_the_worst_replica_comes_first_with_the_command_for_its_logs() -> None:
    events = {
        "a": replica("Waiting", replica_status_reason="ContainerCreating"),
        "b": replica("Waiting", replica_status_reason="OOMKilled"),
        "c": replica("Waiting", replica_status_reason="Error"),
    }
    page = shown(well("chat", replica_events=events))
    assert "▲ OOMKilled b curl" in page.text
    assert "▲ Error c ↻ ContainerCreating a" in page.text
    alone = shown(well("chat", replica_events=events), query=Query(deployment="chat"))
    assert alone.text.count("curl -H") == 3


def test_a_healthy_deployment_is_folded_and_all_of_it_is_on_a_page_of_its_own() -> None:
    events = {f"r-{n}": replica(replica_ready_since=SINCE) for n in range(MAX_REPLICAS + 2)}
    chat = well("chat", replica_events=events, image="registry.example/chat:7")
    page = shown(chat, well("embed"))
    assert [each["data-default"] for each in page.named("details")] == ["False"] * 3, "projects and both deployments"
    assert "2 more replicas ID id-chat image registry.example/chat:7" in page.text
    assert "./?project=p&deployment=chat" in page.links
    alone = shown(chat, well("embed"), query=Query(project="p", deployment="chat"))
    assert alone.rows == ["chat"]
    assert all(name in alone.text for name in events)
    assert "more replica" not in alone.text


def test_many_rows_have_details_only_where_there_is_trouble() -> None:
    page = shown(CHAT, *(well(f"w{n}", replica_events={}) for n in range(MAX_ROWS_WITH_DETAILS)))
    assert len(page.named("details")) == 2, "the projects, and the one in trouble"


def test_a_change_that_was_seen_is_as_old_as_it_is() -> None:
    status = run(report(facts(fleet(well("chat", status="Failed")))))
    since = "2026-03-31T23:25:00.000Z"
    seen = replace(status.deployments[0], status_since=since, saw_status_change=True)
    page = page_of(replace(status, deployments=(seen,)))
    assert "✕ critical: Failed for 8m 20s 2/2" in page.text
    assert {"datetime": since, "title": "2026-03-31 23:25:00 UTC"} in page.named("time")


def test_a_replica_in_trouble_is_as_old_as_it_was_seen() -> None:
    status = run(report(facts(fleet(CHAT))))
    chat = status.deployments[0]
    replicas = tuple(replace(each, first_seen="2026-03-31T23:31:20.000Z") for each in chat.replicas)
    page = page_of(replace(status, deployments=(replace(chat, replicas=replicas),)))
    assert "CrashLoopBackOff for up to 2m r-2" in page.text


def test_a_queue_shows_its_messages() -> None:
    scaling = {"metric": "QueueBacklogPerWorker", "model": "org/q"}
    status = run(report(facts(fleet(well("chat", autoscaling=scaling)))))
    page = page_of(replace(status, queues=(Queue("p", "org/q", 20, 3, ("chat",)),)))
    assert "20 / 3" in page.text
    assert "queue org/q" in page.text


def test_a_queue_that_scales_no_deployment_is_listed_with_the_projects() -> None:
    status = run(report(facts(fleet(well("chat")))))
    page = page_of(replace(status, queues=(Queue("p", "org/extra", 5, None, ()),)))
    assert "Queue org/extra of p: 5 waiting, – running" in page.text


def test_markup_in_what_the_api_says_is_text() -> None:
    name = "<script>alert(1)</script>"
    events = {"<b>": replica('"><img src=x onerror=alert(1)>', replica_status_reason="<i>")}
    page = shown(well(name, image="</style>", status="<u>", gpu_type="<s>", gpu_count=1, replica_events=events))
    assert page.rows == [name]
    assert len(page.named("script")) == 1
    assert not {"b", "i", "u", "s", "img"} & {tag for tag, _ in page.tags}
    assert not any(key.startswith("on") or key == "style" for _, attributes in page.tags for key in attributes)


def test_names_that_turn_the_text_around_are_confined() -> None:
    events = {TURNING: replica("Waiting", replica_status_reason="Error", replica_status_message=TURNING)}
    page = shown(well(TURNING, image=TURNING, status=TURNING, gpu_type=TURNING, gpu_count=1, replica_events=events))
    assert page.rows == [TURNING]
    visible = ("title", "aria-label")
    assert not any(TURNING in (attributes.get(key) or "") for _, attributes in page.tags for key in visible)
    html = run(PAGE.render(run(report(facts(fleet(well(TURNING, status=TURNING))))), Query())).decode()
    body = re.sub(r"<option.*?</option>|<[^>]*>", lambda match: match[0] if "bdi" in match[0] else "", html)
    assert set(re.findall(f"(<bdi[^>]*>)?[^<]*{TURNING}", body)) >= {'<bdi class="name">'}
    assert not re.search(f">[^<]*(?<!>){TURNING}", re.sub(r"<bdi[^>]*>[^<]*</bdi>|<option.*?</option>", "", html))


def test_whatever_the_api_says_makes_a_page() -> None:
    bodies = [each.body for row in hostile().values() for each in row if len(each.body) <= MAX_DEPLOYMENT]
    odd = [read_deployment(body).deployment for body in bodies]
    status = run(report(facts(fleet(*odd))))
    assert len(page_of(status, page=StatusPage("/metrics", len(odd))).rows) == len(odd)


def test_more_rows_than_a_browser_likes_are_not_shown_but_found() -> None:
    short = StatusPage("/metrics", 2)
    status = run(report(facts(fleet(*(well(name) for name in "abcd")))))
    page = page_of(status, page=short)
    assert page.rows == ["a", "b"]
    assert "The first 2 of 4 deployments are shown" in page.text
    assert page_of(status, Query("id-d"), short).rows == ["d"]


def test_a_project_that_cannot_be_read_is_critical_and_says_once_why_and_what_to_do() -> None:
    page = down(well("a"), well("b"))
    assert page.text.startswith("1 critical – together-exporter")
    assert f"✕ Project p cannot be read. API key rejected: HTTP 401 Unauthorized. {Unauthorized.hint}" in page.text
    assert page.text.count("API key rejected") == 1
    assert page.text.count("failing, 10s ago") == 2
    assert next(link for link in page.links if "runbooks" in link).endswith("/TogetherKeyRefused.md")
    assert "fill='%23c81e3a'" in str(page.named("link")[0]["href"])


def test_stale_data_says_what_was_last_known() -> None:
    page = down(well("a", status="Failed", ready_replicas=0), now=STALE)
    assert "a ✕ critical: No current data. Last known 5m 1s ago: Failed, 0/2 ready failing, 5m 1s ago" in page.text


def test_what_was_never_read_says_so() -> None:
    store = Store([Target("p", ("a",))])
    fail(store, KEY)
    text = shown_of(store).text
    assert "a ✕ critical: Never read since the exporter started 1h ago failing" in text
    assert "Last known" not in text


def test_one_that_does_not_exist_is_told_with_its_runbook() -> None:
    page = shown(missing="nope")
    assert page.rows == ["nope"]
    assert "nope ✕ critical: Not found failing" in page.text
    assert any(link.endswith("/TogetherDeploymentNotFound.md") for link in page.links)


def test_before_the_first_poll_and_without_deployments_it_says_so() -> None:
    assert "Nothing has been polled yet." in shown_of(Store([Target("p")])).text
    assert (
        "No deployments. A key sees only those of its own project, and include and exclude match whole names."
        in shown().text
    )


def test_a_refused_configuration_and_a_shard_are_told() -> None:
    text = shown(configuration_error="c.yml: pol_interval: unknown key", shard=(1, 3)).text
    assert "was rejected; the previous one stays active. c.yml: pol_interval: unknown key" in text
    assert "Shard 1 of 3" in text


def test_the_project_is_named_where_there_is_more_than_one() -> None:
    assert "chat p ✓" not in shown(well("chat")).text
    two = run(report(facts(fleet(well("chat")), project("p"), project("q"))))
    page = page_of(two)
    assert "chat p ✓" in page.text
    assert "2 projects" in page.text


def test_the_policy_allows_what_is_in_the_page_and_nothing_else() -> None:
    page = run(StatusPage("/m").render(run(report(facts(fleet(CHAT)))), Query())).decode()
    inline = re.findall(r"<(style|script)[^>]*>(.*?)</\1>", page, re.DOTALL)
    assert [text for _, text in inline] == [STYLE.text, SCRIPT.text]
    assert STYLE.source in CONTENT_SECURITY_POLICY
    assert SCRIPT.source in CONTENT_SECURITY_POLICY
    assert "unsafe" not in CONTENT_SECURITY_POLICY


def test_links_work_below_any_path_and_none_needs_a_key() -> None:
    page = shown(CHAT, query=Query(level="warning"))
    addresses = [*page.links, *(each["action"] for each in page.named("form"))]
    assert {re.sub(r"[?#].*", "", str(address)) for address in addresses} - {""} == {
        "./",
        "metrics",
        "api/v1/status",
        "-/healthy",
        "-/ready",
        *(link for link in page.links if link.startswith("https://github.com/together-exporter/")),
    }


def test_findings_that_the_row_shows_are_not_repeated() -> None:
    rolling = well("chat", status="Updating", ready_replicas=1, environment_variables=VARIABLES, replica_events=EVENTS)
    page = shown(rolling)
    assert "Rolling out" not in page.text
    assert "1/2 updated" in page.text


def test_a_finding_without_an_alert_has_no_runbook() -> None:
    status = run(report(facts(fleet(well("a")))))
    odd = replace(
        status.deployments[0], level="warning", findings=(Finding("warning", "No price configured for GPU type x."),)
    )
    assert not any("runbooks" in link for link in page_of(replace(status, deployments=(odd,))).links)


@pytest.mark.parametrize("saw", [True, False])
def test_the_status_of_a_deployment_without_one_has_no_age(saw: bool) -> None:
    status = run(report(facts(fleet(well("a", status=None)))))
    bare = replace(status.deployments[0], status_since=None, saw_status_change=saw)
    assert "✓ ok: No status 2/2" in page_of(replace(status, deployments=(bare,))).text
