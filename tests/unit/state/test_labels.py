"""Configured labels, from the configuration to the page."""

from __future__ import annotations

from exporter.api.errors import ServerError
from exporter.labels import LabelRule, Labels
from exporter.state.records import Target
from tests.pipeline import Pipeline, answer

DOWN = ServerError("HTTP 503")
OWN = Labels(
    common={"label_env": "prod", "label_team": "nobody"},
    variables={"TEAM": "label_team", "TOKEN": "label_token"},
    rules=(LabelRule("chat-.*", {"label_tier": "1"}),),
    deployments={"2": {"label_team": "search"}},
)


def test_every_deployment_has_the_users_own_labels_whatever_is_known_of_it() -> None:
    target = Target("p", ("1", "2", "3"), labels=OWN)
    variables = [{"name": "TEAM", "value": "chat"}, {"name": "TOKEN", "value": "s3cret", "value_from_secret": "token"}]
    pipeline = Pipeline(target)
    pipeline.list("p", DOWN)
    assert set(pipeline.shown()) == {"1", "2", "3"}
    assert dict(pipeline.shown()["2"].record.labels) == {"label_env": "prod", "label_team": "search"}
    chat = {"id": "1", "name": "chat-prod", "environment_variables": variables}
    pipeline.list("p", answer({"data": [chat, {"id": "2"}]}), 1)
    shown = {name: dict(each.record.labels) for name, each in pipeline.shown(1).items()}
    assert shown["chat-prod"] == {"label_env": "prod", "label_team": "chat", "label_tier": "1"}
    assert shown["3"] == {"label_env": "prod", "label_team": "nobody"}
    labels = 'deployment="chat-prod",label_env="prod",label_team="chat",label_tier="1",project="p"'
    line = f"together_deployment_labels{{{labels}}}"
    assert f"{line} 1.0" in pipeline.text(1).splitlines()
    pipeline.list("p", DOWN, 10_000)
    assert f"{line} 1.0" in pipeline.text(10_000).splitlines(), "also when the state is stale"


def test_labels_of_a_deployment_that_is_configured_by_id_are_those_of_its_id() -> None:
    target = Target(
        "p", ("dep_1",), labels=Labels(deployments={"dep_1": {"label_team": "a"}, "chat": {"label_team": "b"}})
    )
    pipeline = Pipeline(target)
    pipeline.list("p", answer({"data": [{"id": "dep_1", "name": "chat"}]}))
    assert dict(pipeline.shown()["chat"].record.labels) == {"label_team": "a"}


def test_labels_follow_a_reload_at_once() -> None:
    pipeline = Pipeline(Target("p"))
    pipeline.list("p", answer({"data": [{"id": "1", "name": "chat-prod"}]}))
    state = pipeline.shown()["chat-prod"].record.state
    pipeline.configure(Target("p", labels=OWN))
    record = pipeline.shown()["chat-prod"].record
    assert dict(record.labels)["label_tier"] == "1"
    assert record.state is state
