"""One replica's life: waiting, preloading, running, ready; crashing; terminated and gone."""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from typing import Any, Protocol

BACKOFF = 20.0  # story seconds between two tries of a crashing replica
LINGER = 8.0  # story seconds a terminated replica is still listed


class Home(Protocol):
    """The deployment, as far as its replica needs it."""

    def changed(self) -> None: ...
    def remove(self, replica: Replica) -> None: ...
    def replica_ready(self) -> None: ...


class Clock(Protocol):
    """The fleet, as far as a replica needs it."""

    def after(self, delay: float, event: Any) -> None: ...
    def time(self, ago: float = 0.0) -> str: ...


@dataclass(eq=False)
class Replica:
    name: str
    image: str
    revision: str
    preloads: bool
    home: Home
    clock: Clock
    chance: random.Random
    status: str = "Waiting"
    reason: str = ""
    message: str = ""
    ready_since: str = ""
    preload: dict[str, str] = field(default_factory=dict)
    _life: int = 0  # each new turn of fate ends the events that the one before had planned

    @property
    def is_ready(self) -> bool:
        return self.status == "Running" and bool(self.ready_since)

    def start(self) -> None:
        """From waiting to ready, through a preload where there is a volume."""
        self.wait_for("ContainerCreating", "")
        if self.preloads:
            self._then(2, self._preload)
        else:
            self._then(self.chance.uniform(2, 5), self._run)

    def become_ready(self) -> None:
        self._set("Running", ready_since=self.clock.time())
        self.home.replica_ready()

    def crash(self) -> None:
        """Exits, waits, tries again, exits: until something else happens to it."""
        self._turn()
        self._set("Waiting", "CrashLoopBackOff", "back-off restarting failed container")
        self._then(BACKOFF, self._try_again)

    def wait_for(self, reason: str, message: str) -> None:
        self._turn()
        self._set("Waiting", reason, message)

    def fail_preload(self) -> None:
        self.wait_for("VolumePreloadFailed", "could not copy the volume")
        self.preload = {"volume_preload_status": "Failed", "volume_preload_started_at": self.clock.time()}

    def terminate(self, reason: str) -> None:
        self._turn()
        self._set("Terminated", reason)
        self._then(LINGER, lambda: self.home.remove(self))

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
        self.home.changed()
        self._then(self.chance.uniform(5, 12), self._preloaded)

    def _preloaded(self) -> None:
        self.preload |= {"volume_preload_status": "Completed", "volume_preload_completed_at": self.clock.time()}
        self._run()

    def _run(self) -> None:
        self._set("Running")
        self._then(self.chance.uniform(2, 5), self.become_ready)

    def _try_again(self) -> None:
        self._set("Running")
        self._then(3, self.crash)

    def _set(self, status: str, reason: str = "", message: str = "", ready_since: str = "") -> None:
        self.status, self.reason, self.message, self.ready_since = status, reason, message, ready_since
        self.home.changed()

    def _turn(self) -> None:
        self._life += 1

    def _then(self, delay: float, event: Any) -> None:
        life = self._life
        self.clock.after(delay, lambda: event() if self._life == life else None)
