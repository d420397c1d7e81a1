"""Takes pictures of the status page in every scenario, width and scheme, for people who change it; they are not kept.

`python -m tests.e2e.page_pictures LABEL [SCENARIO ...]` writes .artefacts/page/LABEL. Needs Chromium."""

from __future__ import annotations

import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from http import HTTPStatus
from pathlib import Path

import yaml

from exporter.simulator.fleet import Fleet as SimulatedFleet
from exporter.simulator.scenario import DeploymentScenario, Fault, Fleet, Scenario, Step, load
from tests import fetch
from tests.conftest import ROOT, SimulatorServer, until
from tests.e2e.browser import Browser
from tests.e2e.conftest import Process

FOLDER = ROOT / ".artefacts" / "page"
SCENARIO = ROOT / "tools" / "pictures.yml"
WIDTHS = {1400: 900, 960: 800, 640: 700, 380: 740}  # with heights, pixels
SCHEMES = ("light", "dark")
KEY_VARIABLE = "PICTURES_KEY"
DOWN = Fault(at=0, lasts=1e9, status=401)
# What has gone wrong in the fleets below at this scenario second, beside what happens by chance.
TROUBLE = {
    "chat-000": Step(at=0, crash=1, fail=True),
    "embed-001": Step(at=0, crash=1),
    "rerank-002": Step(at=0, pull_error=1),
    "whisper-003": Step(at=0, rollout="registry.example/whisper:2"),
}
AT = 200.0  # simulated seconds
CALM = 1e15  # simulated seconds between two events of a deployment: nothing by chance


@dataclass(frozen=True)
class Take:
    """One project and its API: `then` happens once it has been polled; `shows` is what the page says after that."""

    name: str
    scenario: Scenario
    now: float = AT
    then: Callable[[SimulatorServer], None] = lambda _: None
    shows: str = ""
    settings: Mapping[str, object] = field(default_factory=dict)


def fleet(deployments: int) -> Scenario:
    return Scenario(fleet=Fleet(deployments=deployments, event_interval=CALM))


def trouble(server: SimulatorServer) -> None:
    for name, step in TROUBLE.items():
        if name in server.simulator.fleet.deployments:
            server.simulator.fleet.deployments[name].apply(step)


def down(server: SimulatorServer) -> None:
    server.simulator.faults.append(DOWN)


STRANGE = Scenario(
    deployments=(
        DeploymentScenario(name="\u202egnitekram-tahc", image="registry.example/chat:1"),
        DeploymentScenario(name="a-very-long-name-" * 8, replicas=3, timeline=(Step(at=1, crash=3),)),
        DeploymentScenario(name="<script>alert(1)</script>", gpu_type="a-gpu-type-with-a-long-name-80gb", gpu_count=64),
        DeploymentScenario(name="دردشة", replicas=0, min_replicas=0),
    )
)
SCENARIOS: dict[str, tuple[Take, ...]] = {
    "five": (Take("production", load(str(SCENARIO)), 320.0),),
    "thirty": (Take("production", fleet(30), then=trouble, shows="Failed"),),
    "hundred": (Take("production", fleet(100), then=trouble, shows="Failed"),),
    "thousand": (Take("production", fleet(1000), then=trouble, shows="Failed"),),
    "down": (
        Take("production", fleet(12), then=trouble, shows="Failed"),
        Take("research", fleet(4), then=down, shows="401"),
    ),
    "stale": (
        Take("production", fleet(8)),
        Take("research", fleet(4), then=down, shows="No current data", settings={"stale_after": "6s"}),
    ),
    "never": (
        Take("production", fleet(6), settings={"deployments": ["chat-000", "embed-001", "nope"]}, shows="Not found"),
        Take("research", Scenario(faults=(DOWN,)), settings={"deployments": ["one", "two"]}, shows="Never read"),
    ),
    "strange": (Take("production", STRANGE),),
    "empty": (Take("production", Scenario()),),
}


@contextmanager
def exporter(takes: Iterable[Take]) -> Iterator[tuple[str, list[SimulatorServer]]]:
    """The URL of an exporter that has polled them all once, and their APIs."""
    with ExitStack() as stack:
        servers = [stack.enter_context(SimulatorServer(take.scenario)) for take in takes]
        projects = []
        opted_in = {"queue": True}
        for take, server in zip(takes, servers, strict=True):
            server.now = take.now
            server.simulator.fleet = SimulatedFleet(take.scenario, seed=1, started=time.time() - take.now)
            label = {"labels": {"team": "search" if take.name == "research" else "platform"}}
            key = {"api_key_env": KEY_VARIABLE, "base_url": server.url}
            projects.append(
                {"name": take.name, **opted_in, "max_requests_per_second": 1000, **label, **key, **take.settings}
            )
        file = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="pictures-"))) / "config.yml"
        file.write_text(yaml.safe_dump({"poll_interval": "3s", "projects": projects}))
        options = [f"--config.file={file}", "--web.listen-address=127.0.0.1:0"]
        process = Process(["serve", *options], {"PATH": os.environ["PATH"], KEY_VARIABLE: "any"})
        stack.callback(process.stop)
        until(lambda: process.get("/-/ready").status_code == HTTPStatus.OK, "it is polled")
        yield process.url(), servers


def main() -> int:
    label, names = sys.argv[1], sys.argv[2:] or list(SCENARIOS)
    folder = FOLDER / label
    folder.mkdir(parents=True, exist_ok=True)
    with Browser() as browser:
        for name in names:
            takes = SCENARIOS[name]
            with exporter(takes) as (url, servers):
                for take, server in zip(takes, servers, strict=True):
                    take.then(server)
                for take in takes:
                    until(lambda take=take: take.shows in fetch.get(url, timeout=60).text, take.shows)  # type: ignore[misc]
                for width, height in WIDTHS.items():
                    for scheme in SCHEMES:
                        browser.open(url, (width, height), scheme)
                        browser.driver.save_screenshot(str(folder / f"{name}-{width}-{scheme}.png"))
                browser.open(url)
                total = browser.run("return document.documentElement.scrollHeight")
                print(f"{name}: {total} px high at {next(iter(WIDTHS))}")  # noqa: T201 - a command's output
    return 0


if __name__ == "__main__":
    sys.exit(main())
