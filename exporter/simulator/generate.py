"""What the seed makes up for the scenario `fleet`: deployments, and random events."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any, Protocol

from exporter.simulator.scenario import DeploymentScenario, SecretScenario, Step
from exporter.simulator.spec import Spec

IMAGES = ("chat", "embed", "rerank", "whisper", "diffuse", "vision")
TEAMS = ("search", "conversation", "media", "platform")
GPUS = (("h100-80gb", 1), ("h100-80gb", 8), ("h100-40gb-mig", 1), ("h200-140gb", 4), ("b200-192gb", 8), (None, 0))
SHARED_QUEUE = "acme/video-generator"
SCALING = (
    None,
    {"metric": "HTTPTotalRequests", "target": 100, "time_interval_minutes": 10},
    {"metric": "HTTPAvgRequestDuration", "target": "500"},
    {"metric": "QueueBacklogPerWorker", "target": 1.01},
    {"metric": "QueueBacklogPerWorker", "target": "1.05", "model": SHARED_QUEUE},
    {"metric": "CustomMetric", "target": 500, "custom_metric_name": "inflight_requests"},
)
DAY = 86_400.0  # s
SECRETS = (
    SecretScenario(name="hf-token", expires_in=10 * DAY, ttl_seconds=1_209_600, description="Hugging Face"),
    SecretScenario(name="wandb-key", expires_in=3 * DAY, ttl_seconds=604_800, description="Weights & Biases"),
    SecretScenario(name="signing-key", description="never expires"),
)
MODEL = {"model_id": "ml_llama-3-70b", "mount_path": "/models", "revision_id": "rv_2025-11-02"}
WEIGHTS: tuple[dict[str, Any], ...] = ({}, {"volume": "weights"}, {"model_mount": MODEL})


class Subject(Protocol):
    """The deployment, as far as an event depends on it."""

    @property
    def name(self) -> str: ...
    @property
    def desired(self) -> int: ...
    @property
    def spec(self) -> Spec: ...


def generate_deployment(index: int, random_for: Callable[[str], random.Random]) -> DeploymentScenario:
    name = f"{IMAGES[index % len(IMAGES)]}-{index:03d}"
    rng = random_for(f"deployment/{name}")
    gpu, count = rng.choice(GPUS)
    replicas = rng.randint(1, 5)
    secret = rng.choice((None, *(secret.name for secret in SECRETS)))
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
            "autoscaling": rng.choice(SCALING),
            "queue": (rng.randint(0, 20), rng.randint(0, 5)),
            "variables": {"TEAM": rng.choice(TEAMS)},
            "secret_variables": {"API_TOKEN": secret} if secret else {},
            "termination_grace_period_seconds": rng.choice((30, 30, 120)),
            **rng.choice(WEIGHTS),
        }
    )


def random_event(deployment: Subject, rng: random.Random, interval: float) -> tuple[Step, ...]:
    """One event, and the step that ends it where it does not end by itself."""
    until = interval / 2  # simulated seconds
    version = rng.randint(2, 99)
    desired, limits = deployment.desired, (deployment.spec.min_replicas, deployment.spec.max_replicas)
    scaled = rng.randint(*limits)
    recovery = Step(at=until, recover=True)
    events: dict[str, tuple[Step, ...]] = {
        "scale": (Step(at=0, scale=scaled if scaled != desired else limits[0]),),
        "scale back": (Step(at=0, scale=max(desired, 1)),),
        "rollout": (Step(at=0, rollout=f"registry.example/{deployment.name}:{version}"),),
        "bad image": (
            Step(at=0, rollout=f"registry.example/{deployment.name}:{version}-missing"),
            Step(at=0.5, pull_error=1),
            Step(at=until, rollout=f"registry.example/{deployment.name}:{version}"),
        ),
        "rollback": (Step(at=0, rollback=1),),
        "system update": (Step(at=0, system_update=True),),
        "crash": (Step(at=0, crash=1), recovery),
        "out of memory": (Step(at=0, oom=1), recovery),
        "flapping": (Step(at=0, flap=1), recovery),
        "mount error": (Step(at=0, mount_error=1), recovery),
        "preempt": (Step(at=0, preempt=1),),
        "evict": (Step(at=0, evict=1),),
        "no capacity": (Step(at=0, no_capacity=True, scale=limits[1]), Step(at=until, no_capacity=False)),
        "fail": (Step(at=0, crash=desired, fail=True), Step(at=until / 2, recover=True, fail=False)),
        "queue": (Step(at=0, queue=(rng.randint(0, 50), desired)),),
        "queue stuck": (Step(at=0, queue=(10, 0), queue_growth=0.5), Step(at=until, queue=(5, desired))),
    }
    return events[rng.choice([*events, "scale", "scale", "rollout", "crash", "preempt"])]
