"""A deployment's spec: the fields that a revision stores and an update changes."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

GPU_TYPES = ("h100-80gb", "h100-40gb-mig", "h200-140gb", "b200-192gb")
REVISION_VARIABLE = "TOGETHER_DEPLOYMENT_REVISION_ID"
NEEDS_NO_ROLLOUT = frozenset({"description", "min_replicas", "max_replicas", "autoscaling"})
METRIC_NAME = r"^[a-zA-Z_:][a-zA-Z0-9_:]*$"
VARIABLE_NAME = r"^[a-zA-Z_][a-zA-Z0-9_]*$"
DEPLOYMENT_NAME = re.compile(r"[a-zA-Z0-9_-]{1,100}")

Target = int | float | str  # the API also returns numbers as strings


class Part(BaseModel):
    """Immutable; rejects unknown keys."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class HTTPScaling(Part):
    metric: Literal["HTTPTotalRequests", "HTTPAvgRequestDuration"]
    target: Target | None = None
    time_interval_minutes: int | None = None


class QueueScaling(Part):
    metric: Literal["QueueBacklogPerWorker"]
    target: Target | None = None
    model: str | None = Field(None, description="the queue; default: the deployment's name")


class CustomScaling(Part):
    metric: Literal["CustomMetric"]
    target: Target | None = None
    custom_metric_name: Annotated[str, Field(pattern=METRIC_NAME)]


Autoscaling = Annotated[HTTPScaling | QueueScaling | CustomScaling, Field(discriminator="metric")]


class Variable(Part):
    """Has either a plain value or the name or ID of a secret."""

    name: Annotated[str, Field(pattern=VARIABLE_NAME)]
    value: str | None = None
    value_from_secret: str | None = None


class VolumeMount(Part):
    name: str
    mount_path: str
    version: int | None = None


class ModelMount(Part):
    model_id: str
    mount_path: str = "/models"
    revision_id: str | None = None


class Resources(Part):
    """Fields common to the API and scenarios."""

    image: str = Field("registry.example/app:1", description="the container image")
    description: str | None = Field(None, description="the deployment's description")
    gpu_type: str | None = Field("h100-80gb", description="the GPU's type; `null`: none")
    gpu_count: int = Field(1, ge=0, description="GPUs of each replica")
    cpu: float = Field(8, description="cores of each replica")
    memory: float = Field(64, description="GiB of each replica")
    storage: int = Field(100, description="GiB of each replica")
    min_replicas: int = Field(1, ge=0, description="the lower limit of autoscaling")
    max_replicas: int = Field(4, ge=0, description="the upper limit of autoscaling")
    capacity_type: Literal["stable", "preemptible"] = Field("stable", description="`stable` or `preemptible`")
    autoscaling: Autoscaling | None = Field(
        None, description="one of the API's three forms; `target` may be a number or a string"
    )
    termination_grace_period_seconds: int = Field(
        30, ge=0, description="seconds that a replica has for a graceful shutdown"
    )


class Spec(Resources):
    """All fields that a revision stores."""

    command: tuple[str, ...] = ("/app/serve",)
    args: tuple[str, ...] = ("--port", "8000")
    port: int = 8000
    health_check_path: str = "/health"
    environment_variables: tuple[Variable, ...] = ()
    volumes: tuple[VolumeMount, ...] = ()
    model_mounts: tuple[ModelMount, ...] = ()

    @property
    def secrets(self) -> tuple[str, ...]:
        """Returns the secrets that the environment variables reference."""
        return tuple(v.value_from_secret for v in self.environment_variables if v.value_from_secret)

    def as_json(self) -> dict[str, Any]:
        """Returns the API's fields; unset fields are omitted, as in the API."""
        return self.model_dump(mode="json", exclude_none=True)

    def needs_rollout(self, other: Spec) -> bool:
        """Returns whether replicas of the other spec must be replaced."""
        return any(getattr(self, name) != getattr(other, name) for name in Spec.model_fields.keys() - NEEDS_NO_ROLLOUT)


def updated(spec: Spec, body: Mapping[str, Any]) -> Spec:
    """Returns the spec after an update. Unknown fields and null change nothing. Raises ValueError."""
    changes = {key: value for key, value in body.items() if key in Spec.model_fields and value is not None}
    if changes.get("autoscaling") == {}:
        changes["autoscaling"] = None  # disables it, as in the API
    if "environment_variables" in changes:
        changes["environment_variables"] = _own_variables(changes["environment_variables"])
    try:
        new = Spec.model_validate({**spec.model_dump(), **changes})
    except ValidationError as error:
        first = error.errors()[0]
        raise ValueError(f"{'.'.join(map(str, first['loc']))}: {first['msg']}") from None
    _check(new, changes)
    return new


def _own_variables(variables: Any) -> Any:
    """Removes from a client's list what the API adds: the revision and read-only fields."""
    if not isinstance(variables, list) or not all(isinstance(each, dict) for each in variables):
        return variables  # validated by the model
    return [
        {key: value for key, value in each.items() if key != "value_from_secret_expires_at" and value is not None}
        for each in variables
        if each.get("name") != REVISION_VARIABLE
    ]


def _check(spec: Spec, changes: Mapping[str, Any]) -> None:
    """Checks that depend on several fields. Raises ValueError."""
    if spec.min_replicas > spec.max_replicas:
        raise ValueError("min_replicas: must not be above max_replicas")
    if "gpu_type" in changes and spec.gpu_type not in GPU_TYPES:
        raise ValueError(f"gpu_type: must be one of {', '.join(GPU_TYPES)}")
    if len(spec.model_mounts) > 1 or (spec.model_mounts and spec.volumes):
        raise ValueError("model_mounts: at most one, and not together with volumes")
    for variable in spec.environment_variables:
        if (variable.value is None) == (variable.value_from_secret is None):
            raise ValueError(f"environment_variables: {variable.name} needs either value or value_from_secret")
