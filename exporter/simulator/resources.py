"""Resources shared by deployments: secrets, volumes and queues."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

MIN_TTL, MAX_TTL = 86_400, 1_209_600  # s; 1 and 14 days
OWNER = "user-simulated"
FILE_SIZE = 4_976_698_672  # bytes


@dataclass
class Secret:
    """`expires_at`: seconds since 1970, or None. The value is not stored."""

    id: str
    name: str
    created_at: str
    updated_at: str
    expires_at: float | None = None
    ttl: int | None = None  # s
    description: str | None = None

    def is_expired(self, now: float) -> bool:
        return self.expires_at is not None and self.expires_at <= now

    def as_json(self, expiry: str | None) -> dict[str, Any]:
        item = {
            "object": "secret",
            "id": self.id,
            "name": self.name,
            "description": self.description,
            "created_at": self.created_at,
            "created_by": OWNER,
            "updated_at": self.updated_at,
            "last_updated_by": OWNER,
            "ttl_seconds": self.ttl,
            "expires_at": expiry,
        }
        return {key: value for key, value in item.items() if value is not None}


@dataclass(frozen=True)
class Volume:
    id: str
    name: str
    created_at: str
    version: int
    status: Literal["ready", "pending", "syncing", "failed"] = "ready"
    status_message: str | None = None

    def as_json(self, mounted_by: Mapping[int, Sequence[str]], version: int | None = None) -> dict[str, Any]:
        """`mounted_by`: deployment IDs by the version that they mount. `version`: the one whose content is wanted."""
        wanted = version or self.version
        name = f"model-v{wanted}.safetensors"
        file = {"name": name, "size": FILE_SIZE, "last_modified": self.created_at}
        item = {
            "object": "volume",
            "id": self.id,
            "name": self.name,
            "type": "readOnly",
            "status": self.status,
            "status_message": self.status_message,
            "current_version": self.version,
            "mounted_by": list(mounted_by.get(self.version, ())),
            "content": {"type": "files", "source_prefix": self._prefix(wanted), "files": [file]},
            "version_history": {str(old): self._old(old, mounted_by) for old in range(1, self.version)},
            "created_at": self.created_at,
            "updated_at": self.created_at,
        }
        return {key: value for key, value in item.items() if value is not None}

    def _old(self, version: int, mounted_by: Mapping[int, Sequence[str]]) -> dict[str, Any]:
        content = {"type": "files", "source_prefix": self._prefix(version)}
        mounted = list(mounted_by.get(version, ()))
        return {"version": version, "status": "ready", "mounted_by": mounted, "content": content}

    def _prefix(self, version: int) -> str:
        return f"{self.name}/v{version}/"


@dataclass
class Queue:
    """`growth`: change of waiting messages per simulated second; the number never falls below 0."""

    waiting: float = 0
    running: int = 0
    growth: float = 0
    since: float = 0  # simulated seconds; when `waiting` was set

    def waiting_at(self, now: float) -> int:
        return max(0, int(self.waiting + self.growth * (now - self.since)))

    def set(self, now: float, counts: tuple[int, int] | None, growth: float | None) -> None:
        """Sets the given counts; without a growth, any previous growth ends."""
        self.waiting, self.since = self.waiting_at(now), now
        if counts is not None:
            self.waiting, self.running = counts
        self.growth = growth or 0

    def as_json(self, now: float) -> dict[str, int]:
        waiting = self.waiting_at(now)
        return {
            "messages_waiting": waiting,
            "messages_running": self.running,
            "total_jobs": waiting + self.running,
        }
