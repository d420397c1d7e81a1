from __future__ import annotations

import pytest

from exporter.state.history import History
from exporter.state.records import Limits, Poll, Project, Record, Target
from tests.pipeline import at


@pytest.mark.parametrize(
    ("target", "id_", "name", "wanted"),
    [
        pytest.param(Target("p"), "1", "a", True, id="everything"),
        pytest.param(Target("p"), None, None, True, id="even without a name"),
        pytest.param(Target("p", ("a",)), "1", "a", True, id="a configured name"),
        pytest.param(Target("p", ("1",)), "1", "a", True, id="a configured ID"),
        pytest.param(Target("p", ("b",)), "1", "a", False, id="what is not configured"),
        pytest.param(Target("p", ()), None, None, False, id="nothing is configured"),
        pytest.param(Target("p", include=("a", "b")), "1", "b", True, id="one of those included"),
        pytest.param(Target("p", include=("a",)), "1", "b", False, id="not included"),
        pytest.param(Target("p", include=("a.*",), exclude=("ab",)), "1", "ab", False, id="exclude wins"),
        pytest.param(Target("p", include=("1",)), "1", None, True, id="without a name, by the ID"),
        pytest.param(Target("p", include=("1",)), "1", "a", False, id="with a name, not by the ID"),
    ],
)
def test_a_target_wants(target: Target, id_: str | None, name: str | None, wanted: bool) -> None:
    assert target.wants(id_, name) is wanted


def test_alike_targets_are_equal() -> None:
    one, other = (Target("p", ("a",), limits=Limits(True, 5), include=("x.*",)) for _ in range(2))
    assert one == other


def record(key: str) -> Record:
    return Record(key, key, History(), Poll())


@pytest.mark.parametrize(
    ("project", "is_polled"),
    [
        pytest.param(Project(Target("p")), False, id="no list yet"),
        pytest.param(Project(Target("p"), listing=Poll(None, at(0))), True, id="a list"),
        pytest.param(Project(Target("p", ())), True, id="nothing to poll"),
        pytest.param(Project(Target("p", ("a",), is_listed=False)), False, id="none of one"),
        pytest.param(Project(Target("p", ("a", "b"), is_listed=False), {"a": record("a")}), False, id="one of two"),
        pytest.param(
            Project(Target("p", ("a", "b"), is_listed=False), {key: record(key) for key in "ab"}), True, id="both"
        ),
    ],
)
def test_a_project_is_polled_when_everything_has_been(project: Project, is_polled: bool) -> None:
    assert project.is_polled is is_polled
