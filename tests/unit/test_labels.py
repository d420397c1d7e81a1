"""Labels of deployments: their names, and which of several counts."""

from __future__ import annotations

import pytest

from exporter.labels import LabelRule, Labels, collision, exported_name


@pytest.mark.parametrize(
    ("name", "label"),
    [
        ("team", "label_team"),
        ("TEAM", "label_team"),
        ("cost-center", "label_cost_center"),
        ("app.kubernetes.io/name", "label_app_kubernetes_io_name"),
        ("1st", "label_1st"),
        ("größe", "label_gr__e"),
    ],
)
def test_names_become_those_of_prometheus(name: str, label: str) -> None:
    assert exported_name(name) == label


def test_two_names_that_become_one_are_a_collision() -> None:
    assert collision(["team", "cost-center"]) is None
    assert collision(["cost-center", "Cost_Center"]) == (
        'has "cost-center" and "Cost_Center", which are both exported as label_cost_center; keep one'
    )
    assert collision([" "]) is not None


def test_the_deployments_own_come_before_the_last_rule_before_a_variable_before_the_projects() -> None:
    labels = Labels(
        common={"label_a": "common", "label_b": "common", "label_c": "common", "label_d": "common"},
        variables={"B": "label_b", "C": "label_c", "D": "label_d", "ABSENT": "label_e"},
        rules=(
            LabelRule("chat-.*", {"label_c": "first rule", "label_d": "first rule"}),
            LabelRule(".*-prod", {"label_c": "last rule", "label_d": "last rule"}),
            LabelRule("chat", {"label_a": "not the whole name"}),
        ),
        deployments={"id-1": {"label_d": "its own"}},
    )
    environment = {"B": "variable", "C": "variable", "D": "variable", "OTHER": "secret"}
    assert labels.of(key="id-1", name="chat-prod", environment=environment) == {
        "label_a": "common",
        "label_b": "variable",
        "label_c": "last rule",
        "label_d": "its own",
    }
    assert labels.of(key="x", name="x", environment={}) == dict.fromkeys(
        ("label_a", "label_b", "label_c", "label_d"), "common"
    )
