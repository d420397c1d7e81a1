"""Scenarios in YAML: deployments, their timelines, and faults of the API."""

from __future__ import annotations

from importlib import resources
from pathlib import Path
from typing import Literal, Self

import yaml
from pydantic import Field, model_validator

from exporter.simulator import SHIPPED
from exporter.simulator.spec import ModelMount, Part, Resources, Spec, Variable, VolumeMount

VOLUME_VERSION = 3
PLAIN = Variable(name="DATABASE_URL", value="postgres://user:simulated-plain-secret@db/app")

Counts = tuple[int, int]


class Step(Part):
    """Changes of a deployment at one moment."""

    at: float = Field(description="simulated seconds since the timeline's start")
    rollout: str | None = Field(None, description="a new revision with this image")
    rollback: int | str | None = Field(None, description="back to a revision, by its number or ID")
    system_update: bool | None = Field(None, description="the platform makes a new revision with the same image")
    scale: int | None = Field(None, ge=0, description="the new number of desired replicas")
    crash: int | None = Field(None, ge=0, description="number of replicas that are crash looping from now on")
    oom: int | None = Field(None, ge=0, description="number of replicas that run out of memory repeatedly: `OOMKilled`")
    flap: int | None = Field(
        None, ge=0, description="number of replicas that lose and regain their readiness repeatedly"
    )
    pull_error: int | None = Field(None, ge=0, description="number of replicas that cannot pull their image")
    mount_error: int | None = Field(
        None, ge=0, description="number of replicas that cannot mount their volume: `FailedMount`"
    )
    preload_error: int | None = Field(None, ge=0, description="number of replicas that fail to preload their volume")
    preempt: int | None = Field(None, ge=0, description="number of replicas that are preempted and replaced")
    evict: int | None = Field(None, ge=0, description="number of replicas that are evicted and replaced")
    no_capacity: bool | None = Field(
        None, description="`true`: replicas that start stay `Unschedulable`; `false`: no longer"
    )
    fail: bool | None = Field(None, description="`true`: status `Failed`; `false`: no longer")
    recover: bool | None = Field(None, description="failing replicas work again")
    delete: bool | None = Field(None, description="the deployment is deleted")
    queue: Counts | None = Field(None, description="messages waiting and running in the deployment's queue")
    queue_growth: float | None = Field(
        None, description="messages per simulated second by which the waiting ones grow, or shrink if negative"
    )
    secret_expires_in: float | None = Field(
        None, description="seconds of the wall clock until the deployment's secrets expire; 0: now"
    )


class DeploymentScenario(Resources):
    """A deployment's initial state and timeline."""

    name: str = Field(description="the deployment's name")
    replicas: int = Field(2, ge=0, description="desired replicas at the start, all ready")
    volume: str | None = Field(None, description="the volume that is mounted at `/models` and preloaded")
    model_mount: ModelMount | None = Field(
        None, description="`model_id`, `mount_path`, `revision_id`; not with a volume"
    )
    variables: dict[str, str] = Field({}, description="environment variables with a plain value")
    secret_variables: dict[str, str] = Field({}, description="environment variables with a secret's name")
    secret_expires_in: float | None = Field(
        None, description="adds the variable HF_TOKEN from a secret; seconds of the wall clock until it expires"
    )
    queue: Counts | None = Field(None, description="messages waiting and running in its queue at the start")
    timeline: tuple[Step, ...] = Field((), description="the steps, see below")
    repeat: float | None = Field(None, gt=0, description="simulated seconds after which the timeline starts again")

    @property
    def own_secret(self) -> str:
        """Returns the name of the secret that `secret_expires_in` adds."""
        return f"{self.name}-hf-token"

    def spec(self) -> Spec:
        mounts = (VolumeMount(name=self.volume, mount_path="/models", version=VOLUME_VERSION),) if self.volume else ()
        return Spec(
            **{name: getattr(self, name) for name in Resources.model_fields},
            environment_variables=self._variables(),
            volumes=mounts,
            model_mounts=(self.model_mount,) if self.model_mount else (),
        )

    def _variables(self) -> tuple[Variable, ...]:
        secrets = dict(self.secret_variables)
        if self.secret_expires_in is not None:
            secrets["HF_TOKEN"] = self.own_secret
        plain = [Variable(name=name, value=value) for name, value in self.variables.items()]
        return (PLAIN, *plain, *(Variable(name=name, value_from_secret=secret) for name, secret in secrets.items()))


class SecretScenario(Part):
    """A secret that several deployments can use."""

    name: str = Field(description="the secret's name")
    expires_in: float | None = Field(None, description="seconds of the wall clock; below 0: it has expired already")
    ttl_seconds: int | None = Field(None, description="its time to live, from 1 to 14 days")
    description: str | None = Field(None, description="what it is for")


class VolumeScenario(Part):
    """A volume. Volumes that are only referenced by deployments are ready."""

    name: str = Field(description="the volume's name")
    version: int = Field(VOLUME_VERSION, ge=1, description="its current version")
    status: Literal["ready", "pending", "syncing", "failed"] = Field(
        "ready", description="`ready`, `pending`, `syncing` or `failed`"
    )
    status_message: str | None = Field(None, description="why it failed")


class Fault(Part):
    """A temporary fault of the API."""

    at: float = Field(description="simulated seconds since the start")
    lasts: float = Field(description="simulated seconds")
    repeat: float | None = Field(None, description="simulated seconds from one start to the next")
    status: int = Field(503, description="the status of the answer")
    retry_after: float | None = Field(None, description="the header Retry-After, in seconds")
    delay: float = Field(0, description="seconds of the wall clock before the answer")
    body: str = Field(
        '{"error": {"message": "upstream unavailable", "type": "server_error"}}', description="the body of the answer"
    )

    def is_on(self, now: float) -> bool:
        since = now - self.at
        if self.repeat and since >= 0:
            since %= self.repeat
        return 0 <= since < self.lasts


class Fleet(Part):
    """Deployments generated from the seed, with random events."""

    deployments: int = Field(8, description="how many")
    event_interval: float = Field(90, gt=0, description="mean simulated seconds between two events of one deployment")


class Scenario(Part):
    description: str = Field("", description="what it shows, in one sentence")
    deployments: tuple[DeploymentScenario, ...] = Field((), description="the deployments")
    secrets: tuple[SecretScenario, ...] = Field((), description="the project's secrets")
    volumes: tuple[VolumeScenario, ...] = Field(
        (), description="volumes whose version or status differs from the defaults"
    )
    queues: dict[str, Counts] = Field({}, description="messages waiting and running in queues, by the queue's name")
    faults: tuple[Fault, ...] = Field((), description="when the API misbehaves")
    fleet: Fleet | None = Field(None, description="further deployments, generated from the seed")

    @model_validator(mode="after")
    def _references_exist(self) -> Self:
        names = [deployment.name for deployment in self.deployments]
        if double := next((name for name in names if names.count(name) > 1), None):
            raise ValueError(f"two deployments have the name {double}")
        secrets = {secret.name for secret in self.secrets}
        for deployment in self.deployments:
            if unknown := set(deployment.secret_variables.values()) - secrets:
                raise ValueError(f"{deployment.name}: secret {min(unknown)} is not one of secrets")
        return self


def load(name: str) -> Scenario:
    """Loads a built-in scenario by name, or a file. Raises ValueError with a hint."""
    try:
        return Scenario.model_validate(yaml.safe_load(_text(name)) or {})
    except (yaml.YAMLError, ValueError) as error:
        raise ValueError(f"scenario {name}: {error}") from None


def _text(name: str) -> str:
    if name in SHIPPED:
        return resources.files("exporter.simulator").joinpath("scenarios", f"{name}.yml").read_text(encoding="utf-8")
    try:
        return Path(name).read_text(encoding="utf-8")
    except OSError as error:
        raise ValueError(f"{error.strerror}; write a file's name or {', '.join(SHIPPED)}") from None
