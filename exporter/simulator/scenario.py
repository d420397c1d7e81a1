"""Stories for the fleet and faults for the API, from YAML."""

from __future__ import annotations

from importlib import resources
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, ConfigDict, Field

SHIPPED = ("steady", "rollout", "crashloop", "outage", "scale-to-zero", "fleet")


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Step(_Part):
    """What happens to a deployment `at` so many story seconds; one of the actions."""

    at: float
    rollout: str | None = Field(None, description="the new image")
    scale: int | None = Field(None, description="the new number of desired replicas")
    crash: int | None = Field(None, description="so many replicas crash from now on")
    pull_error: int | None = Field(None, description="so many replicas cannot pull their image")
    preload_error: int | None = Field(None, description="so many replicas fail to preload their volume")
    preempt: int | None = Field(None, description="so many replicas are evicted and replaced")
    fail: bool | None = Field(None, description="true: status Failed; false: no longer")
    recover: bool | None = Field(None, description="crashed and failed replicas work again")
    delete: bool | None = Field(None, description="the deployment is deleted")
    queue: tuple[int, int] | None = Field(None, description="messages waiting and running")


class DeploymentStory(_Part):
    """One deployment as it starts, and what happens to it; `repeat`: the story starts again after so many seconds."""

    name: str
    image: str = "registry.example/app:1"
    gpu_type: str | None = "h100-80gb"
    gpu_count: int = 1
    cpu: float = 8
    memory: float = 64
    storage: int = 100
    min_replicas: int = 1
    max_replicas: int = 4
    replicas: int = 2
    capacity_type: str = "stable"
    volume: str | None = None
    secret_expires_in: float | None = None
    autoscaling: dict[str, Any] | None = None
    queue: tuple[int, int] = (0, 0)
    story: tuple[Step, ...] = ()
    repeat: float | None = None


class Fault(_Part):
    """The API misbehaves from `at` for `lasts` story seconds, again every `repeat`. `delay` is real seconds."""

    at: float
    lasts: float
    repeat: float | None = None
    status: int = 503
    retry_after: float | None = None
    delay: float = 0
    body: str = '{"error": {"message": "upstream unavailable", "type": "server_error"}}'

    def is_on(self, now: float) -> bool:
        since = now - self.at
        if self.repeat and since >= 0:
            since %= self.repeat
        return 0 <= since < self.lasts


class Fleet(_Part):
    """Deployments made up from the seed, that live by chance; `calm`: story seconds between two events of one."""

    deployments: int = 8
    calm: float = 90


class Scenario(_Part):
    description: str = ""
    deployments: tuple[DeploymentStory, ...] = ()
    faults: tuple[Fault, ...] = ()
    fleet: Fleet | None = None


def load(name: str) -> Scenario:
    """A shipped scenario by name, or a file. Raises ValueError with the hint."""
    if name in SHIPPED:
        text = resources.files("exporter.simulator").joinpath("scenarios", f"{name}.yml").read_text(encoding="utf-8")
    else:
        try:
            text = Path(name).read_text(encoding="utf-8")
        except OSError as error:
            raise ValueError(
                f"scenario {name}: {error.strerror}; write a file's name or {', '.join(SHIPPED)}"
            ) from None
    try:
        return Scenario.model_validate(yaml.safe_load(text) or {})
    except (yaml.YAMLError, ValueError) as error:
        raise ValueError(f"scenario {name}: {error}") from None
