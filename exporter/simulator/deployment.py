"""A deployment: replicas, rollouts, revisions and JSON."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from typing import Any, Protocol

from exporter.simulator.reasons import Details
from exporter.simulator.replica import BLOCKED, Replica
from exporter.simulator.resources import Queue
from exporter.simulator.revisions import History, Revision
from exporter.simulator.scenario import DeploymentScenario, Step
from exporter.simulator.spec import REVISION_VARIABLE, QueueScaling, Spec

AGE = 86_400.0  # s; how long before the start the deployments were created


class Project(Protocol):
    """Interface of the fleet for deployments. Delays and `now` are in simulated seconds."""

    @property
    def now(self) -> float: ...
    def after(self, delay: float, event: Callable[[], None]) -> None: ...
    def time(self, ago: float = 0.0) -> str: ...
    def remove(self, deployment: Deployment) -> None: ...
    def queue(self, name: str) -> Queue: ...
    def secret_expiry(self, name_or_id: str) -> str | None: ...
    def expired_secret(self, spec: Spec) -> str | None: ...
    def set_expiry(self, secret: str, seconds: float) -> None: ...


class Deployment:
    """`body`: its JSON, cached until a change."""

    def __init__(self, project: Project, scenario: DeploymentScenario, random: random.Random) -> None:
        self._project, self._random = project, random
        self.name = scenario.name
        self.id = f"dep-{random.getrandbits(48):012x}"
        self._created = self._updated = project.time(ago=AGE)
        self.history = History(random, scenario.spec(), self._created)
        self._desired = scenario.replicas
        self._failed = self._no_capacity = self._rolling = False
        self.is_deleted = False
        self.replicas: dict[str, Replica] = {}
        self._body: bytes | None = None

    @property
    def spec(self) -> Spec:
        return self.revision.spec

    @property
    def revision(self) -> Revision:
        return self.history.current

    @property
    def desired(self) -> int:
        return self._desired

    @property
    def queue_name(self) -> str:
        """Returns the name of the queue that scales it: from autoscaling, otherwise its own name."""
        scaling = self.spec.autoscaling
        return scaling.model or self.name if isinstance(scaling, QueueScaling) else self.name

    @property
    def ready(self) -> int:
        return sum(replica.is_ready for replica in self.replicas.values())

    def begin(self) -> None:
        """Makes the initial replicas ready at once, except blocked ones."""
        for _ in range(self._desired):
            replica = self._new_replica()
            if reason := self.blocked_by():
                replica.wait_for(reason)
            else:
                replica.become_ready()

    def apply(self, step: Step) -> None:
        """Applies a step of a timeline. Steps of a deleted deployment are ignored."""
        if self.is_deleted:
            return
        self._apply_platform(step)
        self._apply_revision(step)
        if step.scale is not None:
            self.scale(step.scale)
        self._apply_failures(step)
        if step.recover:
            self._recover()
        if step.delete:
            self.is_deleted = True
            self._project.remove(self)
        self.changed()

    def update(self, spec: Spec) -> None:
        """Applies a client's update: creates a revision if replicas must be replaced; limits apply at once."""
        if spec.needs_rollout(self.spec):
            self._start_rollout(lambda now: self.history.add(spec, "update", now))
        else:
            self.history.replace_spec(spec)
        self._scale_within_limits()

    def rename(self, name: str) -> None:
        self.name, self._updated = name, self._project.time()
        self.changed()

    def rollback(self, revision: Revision) -> None:
        """Activates an earlier revision; replicas that run it are kept."""
        if revision.id != self.revision.id:
            self._start_rollout(lambda now: self.history.activate(revision, "rollback", now))
            self._scale_within_limits()

    def scale(self, desired: int) -> None:
        self._desired = desired
        self._updated = self._project.time()
        while len(self.current()) < desired:
            self._new_replica().start()
        for replica in self._least_useful()[: len(self.current()) - desired]:
            replica.drain()
        self._continue_rollout()
        self.changed()

    def unblock(self) -> None:
        """Restarts blocked replicas after a cause may have been removed."""
        for replica in self.current():
            if replica.reason in BLOCKED:
                replica.start()
        self.changed()

    def changed(self) -> None:
        self._body = None

    def remove(self, replica: Replica) -> None:
        self.replicas.pop(replica.name, None)
        self.changed()

    def replica_ready(self) -> None:
        """Continues a rollout by one replica."""
        self.changed()
        self._continue_rollout()

    def blocked_by(self) -> str | None:
        """Returns the reason why a replica cannot start, or None."""
        if self._project.expired_secret(self.spec):
            return "CreateContainerConfigError"
        return "Unschedulable" if self._no_capacity else None

    def details(self, replica: Replica) -> Details:
        volume = self.spec.volumes[0].name if self.spec.volumes else "scratch"
        secret = self._project.expired_secret(self.spec) or ""
        return Details(replica.name, replica.image, self.spec.memory, volume, secret)

    def current(self) -> list[Replica]:
        """Returns replicas that are not terminating, oldest first."""
        return [replica for replica in self.replicas.values() if not replica.is_ending]

    def status(self) -> str:
        if self._failed:
            return "Failed"
        if self._rolling:
            return "Updating"
        running = [
            replica for replica in self.replicas.values() if not replica.is_ending or replica.status == "Running"
        ]
        if self._desired == 0 and not running:
            return "ScaledToZero" if self.spec.min_replicas == 0 else "Ready"
        return "Ready" if self.ready == self._desired == len(running) else "Scaling"

    def body(self) -> bytes:
        if self._body is None:
            self._body = json.dumps(self.as_json(), separators=(",", ":")).encode()
        return self._body

    def as_json(self) -> dict[str, Any]:
        """Returns the API's item; unset and empty fields are omitted, as in the API."""
        fields = {key: value for key, value in self.spec_json(self.revision).items() if value not in ([], {})}
        if not self.spec.gpu_count:
            del fields["gpu_count"]
        return {
            "object": "deployment",
            "id": self.id,
            "name": self.name,
            "description": f"Simulated deployment {self.name}",
            **fields,
            "status": self.status(),
            "desired_replicas": self._desired,
            "ready_replicas": self.ready,
            "created_at": self._created,
            "updated_at": self._updated,
            "replica_events": {name: replica.as_json() for name, replica in self.replicas.items()},
        }

    def spec_json(self, revision: Revision) -> dict[str, Any]:
        """Returns the fields of a revision's spec, with the environment variables that the API adds."""
        variables = [{"name": REVISION_VARIABLE, "value": revision.id}]
        for variable in revision.spec.environment_variables:
            item = variable.model_dump(exclude_none=True)
            if variable.value_from_secret and (expiry := self._project.secret_expiry(variable.value_from_secret)):
                item["value_from_secret_expires_at"] = expiry
            variables.append(item)
        return {**revision.spec.as_json(), "environment_variables": variables}

    def _scale_within_limits(self) -> None:
        self.scale(min(max(self._desired, self.spec.min_replicas), self.spec.max_replicas))

    def _apply_platform(self, step: Step) -> None:
        """Applies the environment: capacity, secrets, queues, status."""
        if step.fail is not None:
            self._failed = step.fail
        if step.queue is not None or step.queue_growth is not None:
            self._project.queue(self.queue_name).set(self._project.now, step.queue, step.queue_growth)
        if step.secret_expires_in is not None:
            for secret in self.spec.secrets:
                self._project.set_expiry(secret, step.secret_expires_in)
        if step.no_capacity is not None:
            self._no_capacity = step.no_capacity
            self.unblock()

    def _apply_revision(self, step: Step) -> None:
        if step.rollout is not None:
            spec = self.spec.model_copy(update={"image": step.rollout})
            self._start_rollout(lambda now: self.history.add(spec, "update", now))
        if step.system_update:
            self._start_rollout(lambda now: self.history.add(self.spec, "system", now))
        if step.rollback is not None and (target := self.history.find(str(step.rollback))):
            self.rollback(target)

    def _apply_failures(self, step: Step) -> None:
        newest = self.current()[::-1]
        failures: tuple[tuple[int | None, Callable[[Replica], None]], ...] = (
            (step.crash, Replica.crash),
            (step.oom, Replica.run_out_of_memory),
            (step.flap, Replica.flap),
            (step.pull_error, Replica.fail_to_pull),
            (step.mount_error, lambda replica: replica.wait_for("FailedMount")),
            (step.preload_error, Replica.fail_preload),
            (step.preempt, lambda replica: self._replace(replica, "Preempted")),
            (step.evict, lambda replica: self._replace(replica, "Evicted")),
        )
        for count, fail in failures:
            for replica in newest[: count or 0]:
                fail(replica)

    def _recover(self) -> None:
        for replica in self.current():
            replica.recover()

    def _replace(self, replica: Replica, reason: str) -> None:
        replica.terminate(reason)
        self._new_replica().start()

    def _start_rollout(self, activate: Callable[[str], object]) -> None:
        self._updated = self._project.time()
        activate(self._updated)
        self._rolling = True
        self._continue_rollout()
        self.changed()

    def _continue_rollout(self) -> None:
        """If all updated replicas are ready, replaces one outdated replica by an updated one."""
        if not self._rolling:
            return
        updated = [replica for replica in self.current() if replica.revision == self.revision.id]
        if all(replica.is_ready for replica in updated):
            outdated = [replica for replica in self._least_useful() if replica.revision != self.revision.id]
            surplus = len(updated) + len(outdated) - self._desired
            for replica in outdated[: max(surplus, 0)]:
                replica.drain()
            if len(updated) < self._desired:
                self._new_replica().start()
        self._rolling = not all(r.is_ready and r.revision == self.revision.id for r in self.current())

    def _least_useful(self) -> list[Replica]:
        """Returns current replicas in the order of removal: outdated ones, then those not ready, then the newest."""
        newest = self.current()[::-1]
        return sorted(newest, key=lambda r: (r.revision == self.revision.id, r.is_ready))

    def _new_replica(self) -> Replica:
        name = f"{self.name}-{self.revision.id[:5]}-{self._random.getrandbits(20):05x}"
        replica = Replica(
            name=name,
            image=self.spec.image,
            revision=self.revision.id,
            preloads=bool(self.spec.volumes),
            grace=self.spec.termination_grace_period_seconds,
            owner=self,
            clock=self._project,
            random=self._random,
        )
        self.replicas[name] = replica
        return replica
