from __future__ import annotations

import re
from html.parser import HTMLParser

import pytest
from starlette.datastructures import QueryParams

from exporter.api.errors import Unauthorized
from exporter.api.models import Deployment, read_deployment
from exporter.status.report import report
from exporter.steps import in_one_go
from exporter.web import page as module
from exporter.web.assets import CONTENT_SECURITY_POLICY, SCRIPT, STYLE
from exporter.web.page import SORTS, Query, StatusPage, ago, number, span
from tests.hostile import hostile
from tests.unit.status.facts import SINCE, facts, fleet, project, replica, well

VOID = {"meta", "link", "input"}


class Reader(HTMLParser):
    """The elements of a document; closes as they open."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.rows: list[str] = []
        self.text = ""
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] not in {"script", "style"}:
            self.text += data
        if self.open[-2:] == ["th", "bdi"]:
            self.rows.append(data)


def shown(*deployments: Deployment, query: Query | None = None, missing: str = "", **more: object) -> Reader:
    status = in_one_go(report(facts(fleet(*deployments, missing=missing), **more)))
    return Reader(in_one_go(StatusPage("/metrics").render(status, query or Query())).decode())


def test_a_deployment_is_told_with_everything_that_matters() -> None:
    variables = [{"name": "TOGETHER_DEPLOYMENT_REVISION_ID", "value": "new-revision"}]
    events = {
        "r-1": replica(replica_ready_since=SINCE, revision_id="new-revision"),
        "r-2": replica("Waiting", replica_status_reason="CrashLoopBackOff", revision_id="old-revision"),
    }
    page = shown(
        well("chat", gpu_type="h100-80gb", gpu_count=8, environment_variables=variables, replica_events=events)
    )
    text = " ".join(page.text.split())
    for words in (
        "chat p id-chat",
        "2/2 (––4)",
        "8 × h100-80gb",
        "1 of 2 on new-revi",
        "1 replica crashes again and again",
        "1 Running, 1 Waiting",
        "CrashLoopBackOff r-2 not ready; old revision old-revi",
        "r-1 ready since 1970-01-01 00:00 UTC",
        "10 s ago",
    ):
        assert words in text
    assert ("a", {"href": "http://api.example/v1/deployments/id-chat"}.items()) in [
        (tag, {k: v for k, v in attributes.items() if k == "href"}.items()) for tag, attributes in page.tags
    ]


def test_markup_in_what_the_api_says_is_text() -> None:
    name = "<script>alert(1)</script>"
    events = {"<b>": replica('"><img src=x onerror=alert(1)>', replica_status_reason="<i>")}
    page = shown(well(name, image="</style>", status="<u>", gpu_type="<s>", gpu_count=1, replica_events=events))
    assert page.rows == [name]
    assert [tag for tag, _ in page.tags].count("script") == 1
    assert not {"b", "i", "u", "s", "img"} & {tag for tag, _ in page.tags}
    assert not any(key.startswith("on") or key == "style" for _, attributes in page.tags for key in attributes)


def test_whatever_the_api_says_makes_a_page(monkeypatch: pytest.MonkeyPatch) -> None:
    odd = [read_deployment(each.body).deployment for row in hostile().values() for each in row]
    monkeypatch.setattr(module, "MOST_ROWS", len(odd))
    assert len(shown(*odd).rows) == len(odd)


def test_an_empty_filter_is_none_and_words_must_all_be_found() -> None:
    fleet_of = (well("chat-prod", gpu_type="h100"), well("chat-dev"), well("embed", status="Failed"))
    found = {
        "": ["embed", "chat-dev", "chat-prod"],
        "CHAT": ["chat-dev", "chat-prod"],
        "chat h100": ["chat-prod"],
        "critical": ["embed"],
        "says failed": ["embed"],
        "id-embed": ["embed"],
        "nothing": [],
    }
    for text, names in found.items():
        assert shown(*fleet_of, query=Query(text)).rows == names, text


def test_a_replicas_reason_is_found() -> None:
    events = {"r-77": replica("Waiting", replica_status_reason="ImagePullBackOff")}
    for text in ("r-77", "imagepull"):
        assert shown(well("a", replica_events=events), well("b"), query=Query(text)).rows == ["a"]


def test_each_column_sorts() -> None:
    fleet_of = (
        well("a", ready_replicas=1, gpu_count=1),
        well("b", status="Failed", gpu_count=8),
        well("c", desired_replicas=None, ready_replicas=None),
    )
    orders = {key: shown(*fleet_of, query=Query("", key)).rows for key in SORTS}
    assert orders == {
        "trouble": ["b", "a", "c"],
        "name": ["a", "b", "c"],
        "ready": ["a", "b", "c"],
        "gpus": ["b", "a", "c"],
        "rollout": ["b", "a", "c"],
        "age": ["b", "a", "c"],
    }
    for key in SORTS:
        headers = [attributes for tag, attributes in shown(*fleet_of, query=Query("", key)).tags if tag == "th"]
        assert sum("aria-sort" in attributes for attributes in headers) == 1


def test_a_query_comes_from_the_address_and_goes_back_to_it() -> None:
    query = Query.of(QueryParams("filter=+chat+%26&sort=age"))
    assert query == Query("chat &", "age")
    assert query.link() == "./?filter=chat+%26&sort=age"
    assert query.link(sort="trouble") == "./?filter=chat+%26"
    assert Query().link() == "./"
    assert Query.of(QueryParams("sort=nonsense&filter=" + "x" * 1000)) == Query("x" * module.MAX_FILTER)


def test_more_rows_than_a_browser_likes_are_not_shown_but_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST_ROWS", 2)
    fleet_of = [well(name) for name in "abcd"]
    page = shown(*fleet_of)
    assert page.rows == ["a", "b"]
    assert "The first 2 of 4 are shown" in page.text
    assert shown(*fleet_of, query=Query("id-d")).rows == ["d"]


def test_a_project_that_is_down_says_why_and_what_to_do() -> None:
    text = shown(projects=(project(error=Unauthorized("HTTP 401 Unauthorized")),)).text
    assert "The API refuses the key: HTTP 401 Unauthorized." in text
    assert Unauthorized.hint in text


def test_before_the_first_poll_and_without_deployments_it_says_so() -> None:
    assert "Nothing has been polled yet." in shown(ready=False).text
    assert "No deployment is seen." in shown().text


def test_a_refused_configuration_and_a_shard_are_told() -> None:
    text = shown(configuration_error="c.yml: pol_interval: is not a known key", shard=(1, 3)).text
    assert "c.yml: pol_interval: is not a known key" in text
    assert "Shard 1 of 3" in text


def test_one_that_does_not_exist_is_told() -> None:
    page = shown(missing="nope")
    assert page.rows == ["nope"]
    assert "not found" in page.text


def test_the_policy_allows_what_is_in_the_page_and_nothing_else() -> None:
    page = in_one_go(StatusPage("/m").render(in_one_go(report(facts(fleet()))), Query())).decode()
    inline = re.findall(r"<(style|script)[^>]*>(.*?)</\1>", page, re.DOTALL)
    assert [text for _, text in inline] == [STYLE.text, SCRIPT.text]
    assert STYLE.source in CONTENT_SECURITY_POLICY
    assert SCRIPT.source in CONTENT_SECURITY_POLICY
    assert "unsafe" not in CONTENT_SECURITY_POLICY
    assert not re.search(r'(src|href)="(?!(?!/)[\w./-]+["?]|#|data:|https://github)', page), (
        "nothing comes from another host"
    )


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.4, "400 ms"), (1, "1 s"), (30, "30 s"), (90, "1 min 30 s"), (3600, "1 h"), (90061, "1 d 1 h")],
)
def test_spans(seconds: float, text: str) -> None:
    assert span(seconds) == text


def test_numbers_and_ages() -> None:
    assert [number(n) for n in (None, 0, 3.0, 2.5, 1234567)] == ["–", "0", "3", "2.5", "1,234,567"]
    assert [ago(n) for n in (0.2, 1.4, 61)] == ["now", "1 s ago", "1 min 1 s ago"]
