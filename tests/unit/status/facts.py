"""A fleet with a bit of everything, as the status page's facts."""

from __future__ import annotations

from exporter.api.errors import ApiError, NotFound
from exporter.api.models import Deployment, Reading, Replica
from exporter.records import Instant, Target
from exporter.status.report import Facts, ProjectFacts
from exporter.steps import in_one_go
from exporter.store import Store

NOW = Instant(100.0, 1_775_000_000.0)
SINCE = "1970-01-01T00:00:01Z"
URL = "http://api.example/v1"


def project(name: str = "p", error: ApiError | None = None) -> ProjectFacts:
    return ProjectFacts(name, URL, "list", 30.0, NOW.unix - 5, NOW.unix + 25, error)


def facts(store: Store, *projects: ProjectFacts, **more: object) -> Facts:
    shown = {
        "version": "1.2.3",
        "now": NOW,
        "started": NOW.unix - 3600,
        "ready": True,
        "configuration_error": None,
        "shard": (0, 1),
        "projects": projects or (project(),),
        "view": store.view(NOW),
    }
    return Facts(**{**shown, **more})  # type: ignore[arg-type]  # the test's own


def fleet(*deployments: Deployment, missing: str = "") -> Store:
    """All of project p; `missing`: configured, and not there."""
    store = Store([Target("p", (*(d.name or "" for d in deployments), missing) if missing else None)])
    in_one_go(store.applying_list("p", [Reading(d) for d in deployments], Instant(90.0, NOW.unix - 10)))
    return store


def well(name: str, **fields: object) -> Deployment:
    shown = {"id": f"id-{name}", "status": "Ready", "ready_replicas": 2, "desired_replicas": 2, "max_replicas": 4}
    return Deployment(name=name, **{**shown, **fields})  # type: ignore[arg-type]  # the test's own


def replica(status: str = "Running", **fields: object) -> Replica:
    return Replica(replica_status=status, **fields)  # type: ignore[arg-type]  # the test's own


MISSING = NotFound("HTTP 404 Not Found")
