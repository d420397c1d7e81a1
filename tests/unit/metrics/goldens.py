"""The files below tests/golden: what the API answered, and the page of it.

`NAME.json` is one deployment's answer, or `{"projects": {name: {...}}, "polls": [...]}`: how the projects are
configured, where that matters, and what was asked for when. The page is of the moment of the last poll."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

import httpx

from exporter.api.errors import ApiError
from exporter.metrics.page import Page
from exporter.simulator.app import Simulator
from exporter.simulator.fleet import Fleet
from exporter.simulator.scenario import load
from exporter.simulator.spec import QueueScaling
from exporter.state.records import Limits, Snapshot, Target
from tests.pipeline import Pipeline, answer, at, failure, run

GOLDEN = Path(__file__).parents[2] / "golden"
PRICES = {"h100-80gb": 2.5}
PROJECT = "research"
Polls = list[dict[str, Any]]

# Per shipped scenario, the simulated seconds at which it is polled; the page is of the last one.
MOMENTS = {
    "steady": (0,),
    "rollout": (0, 15, 30, 45),
    "crashloop": (0, 15, 45),
    "oom": (0, 20, 40, 95),
    "no-capacity": (0, 20, 65),
    "flapping": (0, 15, 25, 35),
    "queue": (0, 30, 60),
    "secrets": (0, 30, 70),
    "outage": (0, 30),
    "scale-to-zero": (0, 40, 65),
    "fleet": (0, 60, 120),
}
SCENARIOS = {f"scenario-{name}": name for name in MOMENTS}


def cases() -> list[str]:
    return sorted({*SCENARIOS, *(path.stem for path in GOLDEN.glob("*.json"))})


def scenario_polls(name: str) -> Polls:
    """What the simulator answers to the list, and to each queue that scales a deployment, in seed 1."""
    return run(_scenario_polls(name))


async def _scenario_polls(name: str) -> Polls:
    now, polls = 0.0, []
    scenario = load(name)
    simulator = Simulator(Fleet(scenario, seed=1, started=at(0).unix), lambda: now, scenario.faults)
    transport = httpx.ASGITransport(simulator.app)
    async with httpx.AsyncClient(transport=transport, base_url="http://api/v1/") as client:
        for now in MOMENTS[name]:
            queues = dict.fromkeys(
                deployment.queue_name
                for deployment in simulator.fleet.deployments.values()
                if isinstance(deployment.spec.autoscaling, QueueScaling)
            )
            for path in ("deployments", *(f"queue/metrics?model={name}" for name in queues)):
                response = await client.get(path, headers={"Authorization": "Bearer k"})
                outcome = {"answer": response.json()} if response.is_success else {"error": "server_error"}
                polls.append({"at": now, "get": path, **outcome})
    return polls


@cache
def pipeline_of(case: str) -> tuple[Pipeline, float]:
    """All polls of a case, and the moment of the last one."""
    content = json.loads((GOLDEN / f"{case}.json").read_bytes())
    if "polls" not in content:
        content = {"polls": [{"at": 0, "get": f"deployments/{case}", "answer": content}]}
    polls: Polls = content["polls"]
    configured: dict[str, Any] = {
        project: {} for project in dict.fromkeys(poll.get("project", PROJECT) for poll in polls)
    }
    configured.update(content.get("projects", {}))
    pipeline = Pipeline(*(_target(name, polls, **more) for name, more in configured.items()), prices=PRICES)
    for poll in polls:
        _polled(pipeline, poll)
        pipeline.snapshot(poll["at"])  # under which names they are shown meanwhile is of consequence for the counters
    return pipeline, polls[-1]["at"]


def page_of(case: str) -> Page:
    pipeline, second = pipeline_of(case)
    return pipeline.page(second)


def snapshot_of(case: str) -> Snapshot:
    pipeline, second = pipeline_of(case)
    return pipeline.snapshot(second)


def _target(name: str, polls: Polls, **more: Any) -> Target:
    paths = [poll["get"] for poll in polls if poll.get("project", PROJECT) == name]
    is_listed = "deployments" in paths
    keys = tuple(dict.fromkeys(unquote(path[12:]) for path in paths if path.count("/") == 1 and path[12:]))
    limits = Limits(**more.pop("limits", {}))
    asked: dict[str, Any] = {"has_scaling_queues": True, "has_revisions": True, **more}
    return Target(name, None if is_listed else keys, is_listed, limits=limits, **asked)


def _polled(pipeline: Pipeline, poll: dict[str, Any]) -> None:
    project, second = poll.get("project", PROJECT), poll["at"]
    outcome: bytes | ApiError = failure(poll["error"]) if "error" in poll else answer(poll["answer"])
    url = urlsplit(poll["get"])
    if url.path == "queue/metrics":
        pipeline.queue(project, parse_qs(url.query)["model"][0], outcome, second)
    elif url.path.endswith("/revisions"):
        pipeline.revision(project, unquote(url.path.split("/")[1]), outcome, second)
    elif url.path == "deployments":
        pipeline.list(project, outcome, second)
    else:
        pipeline.one(project, unquote(url.path[12:]), outcome, second)
