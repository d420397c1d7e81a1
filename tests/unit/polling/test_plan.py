from __future__ import annotations

from exporter.polling.plan import Plan


def test_no_two_plans_have_one_id_whatever_projects_and_deployments_are_called() -> None:
    plans = [
        Plan("p", "each", 30.0, "a"),
        Plan("p", "each", 30.0, "b"),
        Plan("p", "list", 30.0),
        Plan("p", "queue", 30.0),
        Plan("q", "list", 30.0),
        Plan("p/a", "each", 30.0, "b"),
        Plan("p", "each", 30.0, "a/b"),
        Plan("p", "each", 30.0, "a%2Fb"),
        Plan("p", "each", 30.0, "\ud800"),
    ]
    assert len({plan.id for plan in plans}) == len(plans)


def test_the_interval_is_no_part_of_the_id() -> None:
    assert Plan("p", "list", 30.0).id == Plan("p", "list", 60.0).id
