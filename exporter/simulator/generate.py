"""Generates deployments and random events of the scenario `fleet` from the seed."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

from exporter.simulator.scenario import DeploymentScenario, SecretScenario, Step
from exporter.simulator.spec import Spec

TEAMS = ("search", "conversation", "media", "platform")
GPUS = (("h100-80gb", 1), ("h100-80gb", 8), ("h100-40gb-mig", 1), ("h200-140gb", 4), ("b200-192gb", 8), (None, 0))
SHARED_QUEUE = "acme/video-generator"
SCALING: dict[str, dict[str, Any] | None] = {  # by name of the image; all variants, with numbers and strings
    "chat": {"metric": "HTTPTotalRequests", "target": 100, "time_interval_minutes": 10},
    "embed": {"metric": "HTTPAvgRequestDuration", "target": "500"},
    "rerank": {"metric": "CustomMetric", "target": 500, "custom_metric_name": "inflight_requests"},
    "whisper": {"metric": "QueueBacklogPerWorker", "target": 1.01},
    "diffuse": {"metric": "QueueBacklogPerWorker", "target": "1.05", "model": SHARED_QUEUE},
    "vision": None,
}
DAY = 86_400.0  # s
SECRETS = (
    SecretScenario(name="hf-token", expires_in=10 * DAY, ttl_seconds=1_209_600, description="Hugging Face"),
    SecretScenario(name="wandb-key", expires_in=3 * DAY, ttl_seconds=604_800, description="Weights & Biases"),
    SecretScenario(name="signing-key", description="never expires"),
)
MODEL = {"model_id": "ml_llama-3-70b", "mount_path": "/models", "revision_id": "rv_2025-11-02"}
WEIGHTS: tuple[dict[str, Any], ...] = ({}, {"volume": "weights"}, {"model_mount": MODEL})


@dataclass(frozen=True, slots=True)
class Draw:
    """The deployment's state and the random values available to an event."""

    desired: int
    most: int
    scaled: int
    image: str
    backlog: int


Keys = Callable[[Draw], dict[str, Any]]  # of a step
FREQUENT: tuple[tuple[Keys, Keys | None], ...] = (
    (lambda draw: {"scale": draw.scaled}, None),
    (lambda draw: {"rollout": draw.image}, None),
    (lambda _: {"crash": 1}, lambda _: {"recover": True}),
    (lambda _: {"preempt": 1}, None),
)
EVENTS: tuple[tuple[Keys, Keys | None], ...] = (  # the steps that start and end it
    *FREQUENT,
    *FREQUENT,
    (lambda draw: {"scale": max(draw.desired, 1)}, None),
    (lambda draw: {"rollout": f"{draw.image}-missing", "pull_error": 1}, lambda draw: {"rollout": draw.image}),
    (lambda _: {"rollback": 1}, None),
    (lambda _: {"system_update": True}, None),
    (lambda _: {"oom": 1}, lambda _: {"recover": True}),
    (lambda _: {"flap": 1}, lambda _: {"recover": True}),
    (lambda _: {"evict": 1}, None),
    (lambda draw: {"no_capacity": True, "scale": draw.most}, lambda _: {"no_capacity": False}),
    (lambda draw: {"crash": draw.desired, "fail": True}, lambda _: {"recover": True, "fail": False}),
    (lambda draw: {"queue": (draw.backlog, draw.desired)}, None),
    (lambda _: {"queue": (10, 0), "queue_growth": 0.5}, lambda draw: {"queue": (5, draw.desired)}),
)
VOLUME_EVENTS = (
    *EVENTS,
    (lambda _: {"mount_error": 1}, lambda _: {"recover": True}),
    (lambda _: {"preload_error": 1}, lambda _: {"recover": True}),
)


class Subject(Protocol):
    """Interface of the deployment for events."""

    @property
    def name(self) -> str: ...
    @property
    def desired(self) -> int: ...
    @property
    def spec(self) -> Spec: ...


def generate_deployment(index: int, random_for: Callable[[str], random.Random]) -> DeploymentScenario:
    """Variants depend on the index, so that a small fleet has all of them."""
    image, scaling = tuple(SCALING.items())[index % len(SCALING)]
    name = f"{image}-{index:03d}"
    rng = random_for(f"deployment/{name}")
    gpu, count = rng.choice(GPUS)
    replicas = rng.randint(1, 5)
    secret = (None, *(secret.name for secret in SECRETS))[index % (1 + len(SECRETS))]
    return DeploymentScenario.model_validate(
        {
            "name": name,
            "image": f"registry.example/{name}:1",
            "gpu_type": gpu,
            "gpu_count": count,
            "min_replicas": rng.choice((0, 1, 1)),
            "max_replicas": replicas + rng.randint(1, 4),
            "replicas": replicas,
            "capacity_type": rng.choice(("stable", "stable", "preemptible")),
            "autoscaling": scaling,
            "queue": (rng.randint(0, 20), rng.randint(0, 5)),
            "variables": {"TEAM": rng.choice(TEAMS)},
            "secret_variables": {"API_TOKEN": secret} if secret else {},
            "termination_grace_period_seconds": rng.choice((30, 30, 120)),
            **WEIGHTS[index % len(WEIGHTS)],
        }
    )


def random_event(deployment: Subject, rng: random.Random, interval: float) -> tuple[Step, ...]:
    """Returns an event, and the step that ends it unless it ends by itself. `interval`: simulated seconds."""
    limits = deployment.spec.min_replicas, deployment.spec.max_replicas
    scaled = rng.randint(*limits)
    draw = Draw(
        desired=deployment.desired,
        most=limits[1],
        scaled=scaled if scaled != deployment.desired else limits[0],
        image=f"registry.example/{deployment.name}:{rng.randint(2, 99)}",
        backlog=rng.randint(0, 50),
    )
    steps, end = rng.choice(VOLUME_EVENTS if deployment.spec.volumes else EVENTS)
    last = Step(at=interval / 2, **end(draw)) if end else None
    return (Step(at=0, **steps(draw)), *([last] if last else ()))
