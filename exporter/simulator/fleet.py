"""The fleet: deployments and replicas that change in story time, deterministic for a seed."""

from __future__ import annotations

import heapq
import itertools
import json
import random
import uuid
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from exporter.simulator.replica import Replica
from exporter.simulator.scenario import DeploymentStory, Scenario, Step

IMAGES = ("chat", "embed", "rerank", "whisper", "diffuse", "vision")
GPUS = (("h100-80gb", 1), ("h100-80gb", 8), ("h100-40gb-mig", 1), ("h200-140gb", 4), ("b200-192gb", 8), (None, 0))
QUEUE_SCALING = {"metric": "QueueBacklogPerWorker", "target": 1.01}
HTTP_SCALING = {"metric": "HTTPTotalRequests", "target": 100, "time_interval_minutes": 10}
AGE = 86_400.0  # s; how long before the start the deployments were made


class Fleet:
    """`started`: the start in seconds since 1970; `speed`: story seconds per second."""

    def __init__(self, scenario: Scenario, seed: int, speed: float = 1.0, started: float = 1_775_000_000.0) -> None:
        self.now = 0.0  # story seconds
        self._seed, self._speed, self._started = seed, speed, started
        self._events: list[tuple[float, int, Callable[[], None]]] = []
        self._order = itertools.count()
        self.deployments: dict[str, Deployment] = {}
        for story in scenario.deployments:
            self.add(story)
        if scenario.fleet is not None:
            for index in range(scenario.fleet.deployments):
                deployment = self.add(self._made_up(index))
                deployment.live(scenario.fleet.calm)

    def random(self, name: str) -> random.Random:
        return random.Random(f"{self._seed}/{name}")  # noqa: S311 - a story, not a secret

    def add(self, story: DeploymentStory) -> Deployment:
        deployment = Deployment(self, story, self.random(story.name))
        self.deployments[story.name] = deployment
        deployment.begin()
        return deployment

    def find(self, name_or_id: str) -> Deployment | None:
        if name_or_id in self.deployments:
            return self.deployments[name_or_id]
        return next((d for d in self.deployments.values() if d.id == name_or_id), None)

    def after(self, delay: float, event: Callable[[], None]) -> None:
        heapq.heappush(self._events, (self.now + delay, next(self._order), event))

    def advance(self, until: float) -> None:
        """Lives on until this story second."""
        while self._events and self._events[0][0] <= until:
            self.now, _, event = heapq.heappop(self._events)
            event()
        self.now = max(self.now, until)

    def time(self, ago: float = 0.0) -> str:
        """The story's moment on the wall clock, as the API writes times."""
        moment = datetime.fromtimestamp(self._started + self.now / self._speed - ago, UTC)
        return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")

    def _made_up(self, index: int) -> DeploymentStory:
        name = f"{IMAGES[index % len(IMAGES)]}-{index:03d}"
        chance = self.random(f"story/{name}")
        gpu, count = chance.choice(GPUS)
        replicas = chance.randint(1, 5)
        return DeploymentStory(
            name=name,
            image=f"registry.example/{name}:1",
            gpu_type=gpu,
            gpu_count=count,
            min_replicas=chance.choice((0, 1, 1)),
            max_replicas=replicas + chance.randint(1, 4),
            replicas=replicas,
            capacity_type=chance.choice(("stable", "stable", "preemptible")),
            volume=chance.choice((None, "weights")),
            secret_expires_in=chance.choice((None, 864_000.0)),
            autoscaling=chance.choice((None, HTTP_SCALING, QUEUE_SCALING)),
            queue=(chance.randint(0, 20), chance.randint(0, 5)),
        )


class Deployment:
    """One deployment with its replicas; `body` is its JSON."""

    def __init__(self, fleet: Fleet, story: DeploymentStory, chance: random.Random) -> None:
        self._fleet, self._story, self._chance = fleet, story, chance
        self.name = story.name
        self.id = f"dep-{chance.getrandbits(48):012x}"
        self.queue = story.queue
        self._image = story.image
        self._revision = self._new_revision()
        self._desired = story.replicas
        self._failed = self._rolling = self._deleted = False
        self._created = fleet.time(ago=AGE)
        self._updated = self._created
        self.replicas: dict[str, Replica] = {}
        self._body: bytes | None = None

    @property
    def queue_model(self) -> str | None:
        scaling = self._story.autoscaling or {}
        return str(scaling.get("model", self.name)) if scaling.get("metric") == "QueueBacklogPerWorker" else None

    def begin(self) -> None:
        """Its first replicas have been ready for long; the story starts."""
        for _ in range(self._desired):
            replica = self._start_replica()
            replica.become_ready()
        self._tell(0.0)

    def live(self, calm: float) -> None:
        """Something by chance, again and again."""
        self._fleet.after(self._chance.expovariate(1 / calm), lambda: self._chance_event(calm))

    def do(self, step: Step) -> None:
        """Carries out one step of a story."""
        if step.rollout is not None:
            self._rollout(step.rollout)
        if step.scale is not None:
            self._scale(step.scale)
        if step.fail is not None:
            self._failed = step.fail
        if step.queue is not None:
            self.queue = step.queue
        if step.delete:
            self._deleted = True
            del self._fleet.deployments[self.name]
        self._trouble(step)
        self.changed()

    def changed(self) -> None:
        self._body = None

    def body(self) -> bytes:
        if self._body is None:
            self._body = json.dumps(self.as_json(), separators=(",", ":")).encode()
        return self._body

    def status(self) -> str:
        if self._failed:
            return "Failed"
        if self._rolling:
            return "Updating"
        if self._desired == 0 and not self.replicas:
            return "ScaledToZero" if self._story.min_replicas == 0 else "Ready"
        return "Ready" if self._ready() == self._desired == len(self.replicas) else "Scaling"

    def as_json(self) -> dict[str, Any]:
        """The API's item; what is unset is left out, as the API does."""
        story = self._story
        volume = {"name": story.volume, "mount_path": "/models", "version": 3}
        item = {
            "object": "deployment",
            "id": self.id,
            "name": self.name,
            "description": f"Simulated deployment {self.name}",
            "status": self.status(),
            "image": self._image,
            "command": ["/app/serve"],
            "args": ["--port", "8000"],
            "port": 8000,
            "health_check_path": "/health",
            "cpu": story.cpu,
            "memory": story.memory,
            "storage": story.storage,
            "gpu_type": story.gpu_type,
            "gpu_count": story.gpu_count or None,
            "capacity_type": story.capacity_type,
            "termination_grace_period_seconds": 30,
            "desired_replicas": self._desired,
            "ready_replicas": self._ready(),
            "min_replicas": story.min_replicas,
            "max_replicas": story.max_replicas,
            "autoscaling": story.autoscaling,
            "environment_variables": self._variables(),
            "volumes": [volume] if story.volume else None,
            "created_at": self._created,
            "updated_at": self._updated,
            "replica_events": {name: replica.as_json() for name, replica in self.replicas.items()},
        }
        return {key: value for key, value in item.items() if value is not None}

    def remove(self, replica: Replica) -> None:
        self.replicas.pop(replica.name, None)
        self.changed()

    def replica_ready(self) -> None:
        """A rollout goes on by one replica each time a new one is ready."""
        self.changed()
        if self._rolling:
            self._roll_one()

    def _tell(self, offset: float) -> None:
        for step in self._story.story:
            self._fleet.after(offset + step.at, lambda step=step: self.do(step))  # type: ignore[misc]  # bound default
        if self._story.repeat:
            self._fleet.after(offset + self._story.repeat, lambda: self._tell(0.0))

    def _chance_event(self, calm: float) -> None:
        if self._deleted:
            return
        now = self._desired
        event = self._chance.choice(("scale", "scale", "rollout", "crash", "preempt", "recover", "queue"))
        scaled = self._chance.randint(self._story.min_replicas, self._story.max_replicas)
        steps = {
            "scale": Step(at=0, scale=scaled if scaled != now else self._story.min_replicas),
            "rollout": Step(at=0, rollout=f"registry.example/{self.name}:{self._chance.randint(2, 99)}"),
            "crash": Step(at=0, crash=1),
            "preempt": Step(at=0, preempt=1),
            "recover": Step(at=0, recover=True, fail=False),
            "queue": Step(at=0, queue=(self._chance.randint(0, 50), now)),
        }
        self.do(steps[event])
        if event == "crash":
            self._fleet.after(calm / 2, lambda: self.do(steps["recover"]))
        self.live(calm)

    def _scale(self, desired: int) -> None:
        self._desired = desired
        self._updated = self._fleet.time()
        while len(self._current()) < desired:
            self._start_replica().start()
        for replica in self._current()[desired:]:
            replica.terminate("Completed")

    def _rollout(self, image: str) -> None:
        self._image, self._revision = image, self._new_revision()
        self._updated = self._fleet.time()
        self._rolling = True
        self._roll_one()

    def _roll_one(self) -> None:
        """One more of the new revision for one less of the old, as long as there is an old one."""
        old = [r for r in self._current() if r.revision != self._revision]
        new = [r for r in self._current() if r.revision == self._revision]
        if old and all(r.is_ready for r in new):
            if new:
                old[0].terminate("Completed")
            if len(new) < self._desired:
                self._start_replica().start()
        self._rolling = bool(old[1:] or (old and not new) or not all(r.is_ready for r in self._current()))
        self.changed()

    def _trouble(self, step: Step) -> None:
        newest = self._current()[::-1]
        for replica in newest[: step.crash or 0]:
            replica.crash()
        for replica in newest[: step.pull_error or 0]:
            replica.wait_for("ImagePullBackOff", f"Back-off pulling image {replica.image}")
        for replica in newest[: step.preload_error or 0]:
            replica.fail_preload()
        for replica in newest[: step.preempt or 0]:
            replica.terminate("Preempted")
            self._start_replica().start()
        if step.recover:
            for replica in newest:
                if not replica.is_ready:
                    replica.start()

    def _current(self) -> list[Replica]:
        """Those that are not on their way out, oldest first."""
        return [replica for replica in self.replicas.values() if replica.status != "Terminated"]

    def _ready(self) -> int:
        return sum(replica.is_ready for replica in self.replicas.values())

    def _start_replica(self) -> Replica:
        name = f"{self.name}-{self._revision[:5]}-{self._chance.getrandbits(20):05x}"
        replica = Replica(
            name, self._image, self._revision, self._story.volume is not None, self, self._fleet, self._chance
        )
        self.replicas[name] = replica
        return replica

    def _new_revision(self) -> str:
        return str(uuid.UUID(int=self._chance.getrandbits(128), version=4))

    def _variables(self) -> list[dict[str, str]]:
        variables = [
            {"name": "TOGETHER_DEPLOYMENT_REVISION_ID", "value": self._revision},
            {"name": "DATABASE_URL", "value": "postgres://user:simulated-plain-secret@db/app"},
        ]
        if self._story.secret_expires_in is not None:
            expiry = self._fleet.time(ago=-self._story.secret_expires_in)
            variables.append({"name": "HF_TOKEN", "value_from_secret": "hf", "value_from_secret_expires_at": expiry})
        return variables
