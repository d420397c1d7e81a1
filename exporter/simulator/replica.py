"""A replica: waiting, preloading, running, ready, failing, draining, terminated, removed."""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

from exporter.simulator.reasons import DRAINING, UNREADY, Details, message

BACKOFF = 20.0  # simulated seconds between two attempts of a failing replica
DRAIN = 3.0  # simulated seconds from the request to end to the container's exit
LINGER = 15.0  # simulated seconds that a terminated replica is still listed
MAX_LOG_ENTRIES = 40
BLOCKED = frozenset({"Unschedulable", "CreateContainerConfigError"})  # end with their cause, without a retry


class Owner(Protocol):
    """Interface of the deployment for its replicas."""

    def changed(self) -> None: ...
    def remove(self, replica: Replica) -> None: ...
    def replica_ready(self) -> None: ...
    def details(self, replica: Replica) -> Details: ...
    def blocked_by(self) -> str | None: ...


class Clock(Protocol):
    """Interface of the fleet for replicas. Delays and `now` are in simulated seconds."""

    @property
    def now(self) -> float: ...
    def after(self, delay: float, event: Callable[[], None]) -> None: ...
    def time(self, ago: float = 0.0) -> str: ...


@dataclass(eq=False, slots=True)
class Replica:
    name: str
    image: str
    revision: str
    preloads: bool
    grace: int
    owner: Owner
    clock: Clock
    random: random.Random
    status: str = "Waiting"
    reason: str = ""
    message: str = ""
    ready_since: str = ""
    preload: dict[str, str] = field(default_factory=dict)
    is_ending: bool = False
    log: deque[tuple[float, str]] = field(default_factory=lambda: deque(maxlen=MAX_LOG_ENTRIES))
    _generation: int = 0  # incremented to cancel scheduled events

    @property
    def is_ready(self) -> bool:
        return self.status == "Running" and bool(self.ready_since)

    def start(self) -> None:
        """Starts the replica: waiting, volume preload if any, running, ready."""
        if reason := self.owner.blocked_by():
            self.wait_for(reason)
            return
        self.wait_for("ContainerCreating")
        if self.preloads:
            self._then(2, self._preload)
        else:
            self._then(self.random.uniform(2, 5), self._run)

    def become_ready(self) -> None:
        self._set("Running", ready_since=self.clock.time())
        self._note("ready")
        self.owner.replica_ready()

    def recover(self) -> None:
        """Ends a failure: a ready replica stays ready, any other one is restarted."""
        self._cancel()
        if not self.is_ready:
            self.start()

    def crash(self) -> None:
        """Repeatedly exits, waits and restarts."""
        self._cancel()
        self._set("Waiting", "CrashLoopBackOff")
        self._note("crashed")
        self._then(BACKOFF, lambda: self._try(3, self.crash))

    def run_out_of_memory(self) -> None:
        """Is repeatedly killed when its memory is full, and restarted."""
        self._cancel()
        self._set("Terminated", "OOMKilled")
        self._note("oom-killed")
        self._then(BACKOFF, lambda: self._try(3, self._serve_until_killed))

    def flap(self) -> None:
        """Repeatedly fails its readiness probe for a while."""
        self._cancel()
        self._set("Running", text=UNREADY)
        self._note("unready")
        self._then(self.random.uniform(4, 8), self._ready_until_next_flap)

    def fail_to_pull(self) -> None:
        self.wait_for("ImagePullBackOff")
        self._then(BACKOFF, self._pull_again)

    def wait_for(self, reason: str) -> None:
        self._cancel()
        self._set("Waiting", reason)
        self._note(reason)

    def fail_preload(self) -> None:
        self.wait_for("VolumePreloadFailed")
        self.preload = {"volume_preload_status": "Failed", "volume_preload_started_at": self.clock.time()}

    def drain(self) -> None:
        """Terminates gracefully: stops accepting requests, exits, and stays listed for a while."""
        self._cancel()
        self.is_ending = True
        if self.status != "Running":
            self.terminate("Completed")
            return
        self._set("Running", text=DRAINING.format(grace=self.grace))
        self._note("draining")
        self._then(min(DRAIN, self.grace), lambda: self.terminate("Completed"))

    def terminate(self, reason: str) -> None:
        """Terminates at once and stays listed for a while."""
        self._cancel()
        self.is_ending = True
        self._set("Terminated", reason)
        self._note(reason)
        self._then(LINGER, lambda: self.owner.remove(self))

    def as_json(self) -> dict[str, str]:
        event = {
            "image": self.image,
            "revision_id": self.revision,
            "replica_status": self.status,
            "replica_status_reason": self.reason,
            "replica_status_message": self.message,
            "replica_ready_since": self.ready_since,
            **self.preload,
        }
        return {key: value for key, value in event.items() if value}

    def _preload(self) -> None:
        self.preload = {"volume_preload_status": "InProgress", "volume_preload_started_at": self.clock.time()}
        self.owner.changed()
        self._then(self.random.uniform(5, 12), self._preloaded)

    def _preloaded(self) -> None:
        self.preload |= {"volume_preload_status": "Completed", "volume_preload_completed_at": self.clock.time()}
        self._run()

    def _run(self) -> None:
        self._try(self.random.uniform(2, 5), self.become_ready)

    def _try(self, seconds: float, outcome: Callable[[], None]) -> None:
        """Runs for this time without becoming ready."""
        self._set("Running")
        self._note("started")
        self._then(seconds, outcome)

    def _serve_until_killed(self) -> None:
        self.become_ready()
        self._then(self.random.uniform(15, 30), self.run_out_of_memory)

    def _ready_until_next_flap(self) -> None:
        self.become_ready()
        self._then(self.random.uniform(6, 12), self.flap)

    def _pull_again(self) -> None:
        self._set("Waiting", "ErrImagePull")
        self._note("ErrImagePull")
        self._then(3, self.fail_to_pull)

    def _set(self, status: str, reason: str = "", text: str = "", ready_since: str = "") -> None:
        self.status, self.reason, self.ready_since = status, reason, ready_since
        self.message = message(reason, self.owner.details(self)) if reason else text
        self.owner.changed()

    def _note(self, event: str) -> None:
        self.log.append((self.clock.now, event))

    def _cancel(self) -> None:
        self._generation += 1

    def _then(self, delay: float, event: Callable[[], None]) -> None:
        generation = self._generation
        self.clock.after(delay, lambda: event() if self._generation == generation else None)
