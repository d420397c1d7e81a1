"""Translates the configuration into polling plans and targets of the store, for the deployments of this shard."""

from __future__ import annotations

from collections.abc import Iterator

from exporter.polling.plan import Plan
from exporter.settings.load import Loaded
from exporter.settings.model import Settings
from exporter.settings.projects import Project
from exporter.state.records import Limits, Target
from exporter.state.shards import belongs


def plans(loaded: Loaded) -> list[Plan]:
    return [plan for project in loaded.projects for plan in _plans_of(project, loaded.settings)]


def _plans_of(project: Project, settings: Settings) -> Iterator[Plan]:
    """Plans of a project; empty if all its deployments belong to other shards."""
    keys = _keys(project, settings)
    if project.fetch == "each":
        yield from (Plan(project.name, "each", interval, key) for key, interval in (keys or {}).items())
    elif keys is None or keys:
        yield Plan(project.name, "list", project.poll_interval)
    has_deployments = keys is None or bool(keys)
    if (project.queue and has_deployments) or _queues(project, settings):
        yield Plan(project.name, "queue", project.poll_interval)
    if project.revisions and has_deployments:
        yield Plan(project.name, "revisions", project.poll_interval)


def targets(loaded: Loaded) -> list[Target]:
    return [_target(project, loaded.settings) for project in loaded.projects]


def _target(project: Project, settings: Settings) -> Target:
    keys = _keys(project, settings)
    return Target(
        project=project.name,
        keys=None if keys is None else tuple(keys),
        is_listed=project.fetch == "list",
        stale_after=project.stale_after,
        limits=Limits(
            replica_metrics=project.replica_metrics,
            max_replicas_per_deployment=settings.max_replicas_per_deployment,
            max_deployments_per_project=settings.max_deployments_per_project,
        ),
        include=project.include,
        exclude=project.exclude,
        shard_index=settings.shard.index,
        shard_total=settings.shard.total,
        queues=_queues(project, settings),
        has_scaling_queues=project.queue,
        has_revisions=project.revisions,
        labels=project.labels,
    )


def _queues(project: Project, settings: Settings) -> tuple[str, ...]:
    """Configured queues of this shard."""
    shard = settings.shard
    return tuple(queue for queue in project.queues if belongs(queue, shard.index, shard.total))


def _keys(project: Project, settings: Settings) -> dict[str, float] | None:
    """Configured deployments of this shard with their intervals; None for discovery."""
    if project.deployments is None:
        return None
    shard = settings.shard
    return {key: each for key, each in project.deployments.items() if belongs(key, shard.index, shard.total)}
