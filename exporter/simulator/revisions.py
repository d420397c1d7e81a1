"""A deployment's revisions and the history of active ones."""

from __future__ import annotations

import random
import uuid
from collections import deque
from dataclasses import dataclass
from typing import Any, Literal

from exporter.simulator.spec import Spec

MAX_EVENTS = 200  # number kept by the API
MAX_REVISIONS = 50  # the SDK documents that older ones lose their configuration; the active one never does

Action = Literal["create", "update", "system", "rollback"]


@dataclass(frozen=True, slots=True)
class Revision:
    id: str
    number: int
    created_at: str
    spec: Spec


@dataclass(frozen=True, slots=True)
class RevisionEvent:
    number: int
    revision: Revision
    action: Action
    activated_at: str

    def as_json(self) -> dict[str, Any]:
        return {
            "object": "revision_event",
            "event_number": self.number,
            "revision_number": self.revision.number,
            "revision_id": self.revision.id,
            "action": self.action,
            "activated_at": self.activated_at,
            "image": self.revision.spec.image,
        }


class History:
    """Starts with the revision that the deployment was created with."""

    def __init__(self, random: random.Random, spec: Spec, created_at: str) -> None:
        self._random = random
        self._revisions: deque[Revision] = deque(maxlen=MAX_REVISIONS)
        self._events: deque[RevisionEvent] = deque(maxlen=MAX_EVENTS)
        self._events_total = self._revisions_total = 0
        self.current = self.add(spec, "create", created_at)

    def add(self, spec: Spec, action: Action, now: str) -> Revision:
        """Adds a revision and activates it."""
        self._revisions_total += 1
        revision_id = str(uuid.UUID(int=self._random.getrandbits(128), version=4))
        revision = Revision(revision_id, self._revisions_total, now, spec)
        self._revisions.append(revision)
        self.activate(revision, action, now)
        return revision

    def activate(self, revision: Revision, action: Action, now: str) -> None:
        self.current = revision
        self._events_total += 1
        self._events.append(RevisionEvent(self._events_total, revision, action, now))

    def replace_spec(self, spec: Spec) -> None:
        """Applies a change that needs no new revision, such as new autoscaling limits."""
        changed = Revision(self.current.id, self.current.number, self.current.created_at, spec)
        self._revisions = deque(
            (changed if revision.id == changed.id else revision for revision in self._revisions), MAX_REVISIONS
        )
        self.current = changed

    def events(self, limit: int, before: int | None) -> list[RevisionEvent]:
        """Returns events, newest first. `before`: only those with a lower number."""
        found = [event for event in reversed(self._events) if before is None or event.number < before]
        return found[:limit]

    def find(self, identifier: str) -> Revision | None:
        """Returns the revision with this number or ID; None if it is unknown or its configuration is no longer
        stored."""
        kept = [self.current, *self._revisions]
        return next((each for each in kept if identifier in {each.id, str(each.number)}), None)
