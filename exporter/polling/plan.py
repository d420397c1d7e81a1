"""Polling plans."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import quote

from exporter.polling.fetches import Name


@dataclass(frozen=True, slots=True)
class Plan:
    """What is polled on one timer: a deployment (`each`, with its key), or a project. `interval`: seconds."""

    project: str
    fetch: Name
    interval: float
    key: str = ""

    @property
    def id(self) -> str:
        return "/".join(quote(part, safe="", errors="surrogatepass") for part in (self.fetch, self.project, self.key))
