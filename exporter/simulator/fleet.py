"""The fleet: deployments, secrets, volumes and queues in simulated time; deterministic for a seed."""

from __future__ import annotations

import heapq
import itertools
import random
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial

from exporter.simulator.deployment import AGE, Deployment
from exporter.simulator.generate import SECRETS, generate_deployment, random_event
from exporter.simulator.resources import Queue, Secret, Volume
from exporter.simulator.scenario import DeploymentScenario, Scenario, SecretScenario, VolumeScenario
from exporter.simulator.spec import Spec


class Fleet:
    """`started`: start time in seconds since 1970. `speed`: simulated seconds per second."""

    def __init__(self, scenario: Scenario, seed: int, speed: float = 1.0, started: float = 1_775_000_000.0) -> None:
        self.now = 0.0  # simulated seconds
        self._seed, self._speed, self._started = seed, speed, started
        self._events: list[tuple[float, int, Callable[[], None]]] = []
        self._order = itertools.count()
        self.deployments: dict[str, Deployment] = {}
        self._by_id: dict[str, Deployment] = {}
        self.secrets: dict[str, Secret] = {}
        self.volumes: dict[str, Volume] = {}
        self._queues = {name: Queue(*counts) for name, counts in scenario.queues.items()}
        for secret in (*scenario.secrets, *(SECRETS if scenario.fleet else ())):
            self._add_secret(secret)
        for volume in scenario.volumes:
            self._add_volume(volume)
        for deployment in scenario.deployments:
            self.add(deployment)
        if scenario.fleet is not None:
            for index in range(scenario.fleet.deployments):
                added = self.add(generate_deployment(index, self.rng))
                self._plan_random_event(added, self.rng(f"events/{added.name}"), scenario.fleet.event_interval)

    def rng(self, name: str) -> random.Random:
        return random.Random(f"{self._seed}/{name}")  # noqa: S311 - a simulation, not a secret

    def add(self, scenario: DeploymentScenario) -> Deployment:
        if scenario.secret_expires_in is not None:
            self._add_secret(SecretScenario(name=scenario.own_secret, expires_in=scenario.secret_expires_in))
        if scenario.volume is not None and scenario.volume not in self.volumes:
            self._add_volume(VolumeScenario(name=scenario.volume))
        deployment = Deployment(self, scenario, self.rng(scenario.name))
        self.deployments[scenario.name] = self._by_id[deployment.id] = deployment
        if scenario.queue is not None:
            self.queue(deployment.queue_name).set(self.now, scenario.queue, None)
        deployment.begin()
        self._plan(deployment, scenario)
        return deployment

    def find(self, name_or_id: str) -> Deployment | None:
        return self.deployments.get(name_or_id) or self._by_id.get(name_or_id)

    def remove(self, deployment: Deployment) -> None:
        del self.deployments[deployment.name]
        del self._by_id[deployment.id]

    def rename(self, deployment: Deployment, name: str) -> None:
        """Renames a deployment without changing its position in the list. Raises ValueError if the name is in use."""
        if self.deployments.get(name, deployment) is not deployment:
            raise ValueError(f"name: a deployment {name} exists already")
        self.deployments = {name if d is deployment else d.name: d for d in self.deployments.values()}
        deployment.rename(name)

    def after(self, delay: float, event: Callable[[], None]) -> None:
        heapq.heappush(self._events, (self.now + delay, next(self._order), event))

    def advance(self, until: float) -> None:
        """Runs everything scheduled up to this simulated second."""
        while self._events and self._events[0][0] <= until:
            self.now, _, event = heapq.heappop(self._events)
            event()
        self.now = max(self.now, until)

    def time(self, ago: float = 0.0) -> str:
        """Formats the current time of the fleet as the API does. `ago`: real seconds before it."""
        return _iso(self._wall_clock() - ago)

    def time_at(self, moment: float) -> str:
        """Converts a simulated second to real time."""
        return _iso(self._started + moment / self._speed)

    def queue(self, name: str) -> Queue:
        """Returns a queue; unused queues are empty."""
        return self._queues.setdefault(name, Queue())

    def queue_json(self, name: str) -> dict[str, int]:
        return self._queues.get(name, Queue()).as_json(self.now)

    def secret(self, name_or_id: str) -> Secret | None:
        named = self.secrets.get(name_or_id)
        return named or next((secret for secret in self.secrets.values() if secret.id == name_or_id), None)

    def secret_expiry(self, name_or_id: str) -> str | None:
        secret = self.secret(name_or_id)
        return _iso(secret.expires_at) if secret and secret.expires_at is not None else None

    def expired_secret(self, spec: Spec) -> str | None:
        """Returns the first expired secret of the spec, or None."""
        now = self._wall_clock()
        found = (self.secret(name) for name in spec.secrets)
        return next((secret.name for secret in found if secret and secret.is_expired(now)), None)

    def set_expiry(self, secret: str, seconds: float, ttl: int | None = None) -> None:
        """Sets the expiry in real seconds from now. Deployments show it, and start if it had blocked them."""
        if found := self.secret(secret):
            found.expires_at = self._wall_clock() + seconds
            found.ttl = ttl or found.ttl
            found.updated_at = self.time()
            for deployment in self.deployments.values():
                if {found.name, found.id} & set(deployment.spec.secrets):
                    deployment.unblock()

    def mounted_by(self, volume: Volume) -> dict[int, list[str]]:
        """Returns the deployments that mount the volume, by version."""
        mounted: dict[int, list[str]] = {}
        for deployment in self.deployments.values():
            for mount in deployment.spec.volumes:
                if mount.name in {volume.name, volume.id}:
                    mounted.setdefault(mount.version or volume.version, []).append(deployment.id)
        return mounted

    def _wall_clock(self) -> float:
        return self._started + self.now / self._speed

    def _id(self, kind: str, name: str) -> str:
        return f"{kind}-{self.rng(f'{kind}/{name}').getrandbits(48):012x}"

    def _add_secret(self, scenario: SecretScenario) -> None:
        created = self.time(ago=AGE)
        self.secrets[scenario.name] = Secret(
            id=self._id("secret", scenario.name),
            name=scenario.name,
            created_at=created,
            updated_at=created,
            expires_at=None if scenario.expires_in is None else self._wall_clock() + scenario.expires_in,
            ttl=scenario.ttl_seconds,
            description=scenario.description,
        )

    def _add_volume(self, scenario: VolumeScenario) -> None:
        self.volumes[scenario.name] = Volume(
            id=self._id("vol", scenario.name),
            name=scenario.name,
            created_at=self.time(ago=AGE),
            version=scenario.version,
            status=scenario.status,
            status_message=scenario.status_message,
        )

    def _plan(self, deployment: Deployment, scenario: DeploymentScenario) -> None:
        for step in scenario.timeline:
            self.after(step.at, partial(deployment.apply, step))
        if scenario.repeat and not deployment.is_deleted:
            self.after(scenario.repeat, partial(self._plan, deployment, scenario))

    def _plan_random_event(self, deployment: Deployment, rng: random.Random, interval: float) -> None:
        def happen() -> None:
            if not deployment.is_deleted:
                for step in random_event(deployment, rng, interval):
                    self.after(step.at, partial(deployment.apply, step))
                self._plan_random_event(deployment, rng, interval)

        self.after(rng.expovariate(1 / interval), happen)


def _iso(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
