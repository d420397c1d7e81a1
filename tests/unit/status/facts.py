"""A fleet with a bit of everything, as the status page's facts."""

from __future__ import annotations

from exporter.api.errors import ApiError, NotFound
from exporter.api.listing import Listing
from exporter.api.models import Deployment, Replica
from exporter.api.reading import Reading
from exporter.state.instant import Instant
from exporter.state.projects import after_failed_list, after_list
from exporter.state.records import Project, Target
from exporter.state.store import Store
from exporter.status.facts import Facts, ProjectFacts
from tests.pipeline import run

NOW = Instant(100.0, 1_775_000_000.0)
SINCE = "1970-01-01T00:00:01Z"
URL = "http://api.example/v1"
MISSING = NotFound("HTTP 404 Not Found")


def project(name: str = "p") -> ProjectFacts:
    return ProjectFacts(name, URL, "list", 30.0, NOW.unix - 5, NOW.unix + 25)


def facts(store: Store, *projects: ProjectFacts, **more: object) -> Facts:
    return run(facts_of(store, *projects, **more))


async def facts_of(store: Store, *projects: ProjectFacts, **more: object) -> Facts:
    """The same inside an event loop. `more`: other fields than these."""
    now = more.get("now", NOW)
    assert isinstance(now, Instant)
    fields = {
        "version": "1.2.3",
        "now": now,
        "started": NOW.unix - 3600,
        "configuration_error": None,
        "shard": (0, 1),
        "projects": projects or (project(),),
        "snapshot": await store.snapshot(now),
        "prices": {},
    }
    return Facts(**{**fields, **more})  # type: ignore[arg-type]  # the test's own


def fleet(*deployments: Deployment, missing: str = "") -> Store:
    """All of project p; `missing`: configured, and not there."""
    return run(fleet_of(*deployments, missing=missing))


async def fleet_of(*deployments: Deployment, missing: str = "") -> Store:
    """The same inside an event loop."""
    store = Store([Target("p", (*(d.name or "" for d in deployments), missing) if missing else None)])
    before = value(store)
    listing = Listing(tuple(Reading(deployment) for deployment in deployments))
    assert store.commit(before, await after_list(before, listing, Instant(90.0, NOW.unix - 10)))
    return store


def fail(store: Store, error: ApiError) -> None:
    """The project's list fails."""
    before = value(store)
    assert store.commit(before, after_failed_list(before, error))


def value(store: Store) -> Project:
    project = store.project("p")
    assert project is not None
    return project


def well(name: str, **fields: object) -> Deployment:
    shown = {"id": f"id-{name}", "status": "Ready", "ready_replicas": 2, "desired_replicas": 2, "max_replicas": 4}
    return Deployment(name=name, **{**shown, **fields})  # type: ignore[arg-type]  # the test's own


def replica(status: str = "Running", **fields: object) -> Replica:
    return Replica(replica_status=status, **fields)  # type: ignore[arg-type]  # the test's own
