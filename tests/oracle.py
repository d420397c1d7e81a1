"""A naive, slow implementation of the contract: answers in, series out. It shares nothing with the exporter.

It keeps every good answer that it has seen of a deployment; oracle_series counts by walking over all of them again."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from tests.oracle_series import (
    DROPS,
    STARTED,
    Config,
    Entry,
    Json,
    Sample,
    age_of,
    counters_of,
    deployment_of,
    labels_of,
    left_out_of,
    number,
    poll_of,
    queue_of,
    replicas_of,
)

Series = dict[tuple[str, frozenset[tuple[str, str]]], float]


@dataclass
class Project:
    config: Config
    entries: dict[str, Entry] = field(default_factory=dict)
    absent: dict[str, tuple[float, Entry]] = field(default_factory=dict)
    queues: dict[str, tuple[float, Json | None]] = field(default_factory=dict)
    list_error: str | None = None
    list_succeeded: float | None = None
    is_listed: bool = False  # whether a list has ended
    left_out: Counter[str] = field(default_factory=Counter)  # of the last list
    was_polled: bool = False  # before the last reload, and something of it is still there

    def is_polled(self) -> bool:
        if self.config.fetch == "list":
            return self.is_listed
        return self.was_polled or set(self.config.keys or ()) <= set(self.entries)

    def keys_of(self, items: Sequence[Json]) -> dict[str, Json]:
        """By which key each of these deployments is known."""
        if self.config.keys is None:
            return {item["id"]: item for item in items}
        keys: dict[str, Json] = {}
        for key in self.config.keys:
            candidates = [item for item in items if item["id"] == key] or [i for i in items if i["name"] == key]
            if candidates:
                keys[key] = min(candidates, key=age_of)
        for item in items:
            if item["id"] not in {found["id"] for found in keys.values()}:
                keys[item["id"]] = item
        return keys

    def queues_asked(self) -> set[str]:
        answers = [entry.answer for entry in self.entries.values() if entry.answer]
        return {queue for queue in map(queue_of, answers) if queue}

    def forget_queues(self) -> None:
        self.queues = {name: known for name, known in self.queues.items() if name in self.queues_asked()}


class Oracle:
    def __init__(self, *configs: Config) -> None:
        self.projects = {config.project: Project(config) for config in configs}

    def reload(self, *configs: Config) -> None:
        self.projects = {config.project: self._reloaded(config) for config in configs}

    def _reloaded(self, config: Config) -> Project:
        before = self.projects.get(config.project)
        if before is None:
            return Project(config)
        was, was_polled, before.config = before.config, before.is_polled(), config
        if was == config:
            return before
        known = [entry for entry in before.entries.values() if entry.answer]
        unknown = [entry for entry in before.entries.values() if not entry.answer]
        before.entries = {}
        keys = config.keys or ()
        wanted = [e for e in known if e.answer and (e.key in keys or config.wants(e.answer["id"], e.name))]
        for entry in sorted(wanted, key=lambda entry: _claim(entry, config)):
            id_ = entry.answer["id"] if entry.answer else entry.key
            names = [key for key in (entry.key, id_, entry.name) if key in keys]
            key = next((key for key in names if key not in before.entries), id_)
            if key not in before.entries and (config.fetch == "list" or key in keys):
                entry.key = key
                before.entries[key] = entry
        for entry in unknown:
            is_asked_for = entry.key in config.keys if config.keys is not None else was.keys is None
            if is_asked_for and (config.keys is not None or config.wants(entry.key, entry.name)):
                before.entries.setdefault(entry.key, entry)
        before.was_polled = was_polled and bool(before.entries)
        if was.fetch != config.fetch:
            before.is_listed, before.absent, before.left_out = before.was_polled, {}, Counter()
            errors = [before.entries[key].error for key in sorted(before.entries)]
            before.list_error = errors[0] if errors and not {None, "not_found"} & set(errors) else None
            before.list_succeeded = None
        before.forget_queues()
        return before

    def one(self, name: str, key: str, outcome: Json | str, second: float) -> None:
        """One deployment's poll: its answer, or the reason for which it failed."""
        entry = self.projects[name].entries.setdefault(key, Entry(key, key))
        if isinstance(outcome, str):
            entry.fail(outcome)
        else:
            entry.succeed(outcome, second)

    def list(self, name: str, outcome: Json | str, second: float) -> None:
        """A list's poll: its answer, or the reason for which it failed."""
        project = self.projects[name]
        project.is_listed = True
        if isinstance(outcome, str):
            reason = "invalid_response" if outcome == "not_found" else outcome
            project.list_error = reason
            for key in {*project.entries, *(project.config.keys or ())}:
                project.entries.setdefault(key, Entry(key, key)).fail(reason)
            return
        project.list_error, project.list_succeeded = None, second
        self._listed(project, outcome["data"], second, is_complete=not outcome.get("has_more", False))

    def _listed(self, project: Project, data: Sequence[Json], second: float, *, is_complete: bool) -> None:
        config, before = project.config, project.entries
        wanted = [item for item in data if config.wants(item["id"], item["name"])]
        kept = sorted({item["id"] for item in wanted})[: config.max_deployments]
        shown = {item["id"]: item for item in wanted if item["id"] in kept}
        repeated = sum(item["id"] in kept for item in wanted) - len(shown)
        too_many = len({item["id"] for item in wanted}) - len(kept)
        project.left_out = Counter(duplicate_deployment=repeated, deployment_limit=too_many)
        project.entries = {}
        for key, item in project.keys_of([shown[id_] for id_ in kept]).items():
            back = self._back(project, key, second)
            entry = before.get(key) or back or Entry(key, key)
            entry.succeed(item, second)
            project.entries[key] = entry
        found = set(project.entries)
        for key in sorted({*before, *(config.keys or ())} - found):
            is_configured = key in (config.keys or ())
            if not is_configured and (is_complete or len(project.entries) >= config.max_deployments):
                project.absent[key] = (second, before[key])
                continue
            project.entries[key] = before.get(key) or Entry(key, key)
            project.entries[key].fail("not_found" if is_complete else "invalid_response")
        project.forget_queues()

    def _back(self, project: Project, key: str, second: float) -> Entry | None:
        since, entry = project.absent.pop(key, (0.0, None))
        return entry if entry and second < since + project.config.stale_after else None

    def queue(self, name: str, queue: str, outcome: Json | str, second: float) -> None:
        queues = self.projects[name].queues
        if not isinstance(outcome, str):
            queues[queue] = (second, outcome)
        elif outcome == "not_found":
            queues[queue] = (second, None)

    def page(self, second: float) -> Series:
        """Every series at this moment; also the moment at which names are given."""
        series: Series = {}
        for project in self.projects.values():
            for name, labels, value in self._project(project, second):
                key = (name, frozenset({"project": project.config.project, **labels}.items()))
                assert key not in series, key
                series[key] = value
        return series

    def _project(self, project: Project, second: float) -> Iterator[Sample]:
        config, shown, known = project.config, labels_of(project.entries), 0
        for label, entry in shown.items():
            if entry.shown_as not in {None, label}:
                entry.counted_from = len(entry.seen)
            entry.shown_as = label
            samples = [*poll_of(entry), *counters_of(entry)]
            if entry.answer and second < (entry.succeeded or 0.0) + config.stale_after:
                known += 1
                samples += [*deployment_of(entry.answer), *replicas_of(entry.answer, config)]
            for name, labels, value in samples:
                yield name, {"deployment": label, **labels}, value
        yield from self._queues(project, second)
        if project.is_polled():
            yield from self._summary(project, shown, known)

    def _queues(self, project: Project, second: float) -> Iterator[Sample]:
        for queue in project.queues_asked() & set(project.queues):
            at, counts = project.queues[queue]
            for state in ("waiting", "running"):
                count = number((counts or {}).get(f"messages_{state}"))
                if count is not None and second < at + project.config.stale_after:
                    yield "together_queue_jobs", {"queue": queue, "state": state}, count

    def _summary(self, project: Project, shown: dict[str, Entry], deployments: int) -> Iterator[Sample]:
        error, succeeded = project.list_error, project.list_succeeded
        if project.config.fetch == "each":
            errors = [shown[label].error for label in sorted(shown)]
            error = errors[0] if errors and all(e not in {None, "not_found"} for e in errors) else None
            succeeded = max((e.succeeded for e in shown.values() if e.succeeded is not None), default=None)
        yield "together_project_poll_success", {}, float(error is None)
        if error is not None:
            yield "together_project_poll_error", {"reason": error}, 1.0
        if succeeded is not None:
            yield "together_project_last_success_timestamp_seconds", {}, STARTED + succeeded
        yield "together_project_deployments", {}, float(deployments)
        left_out = project.left_out.copy()
        for entry in project.entries.values():
            left_out.update(left_out_of(entry.answer or {}, project.config))
        for reason in DROPS:
            yield "together_project_items_dropped", {"reason": reason}, float(left_out[reason])


def _claim(entry: Entry, config: Config) -> tuple[bool, bool, bool, float, str]:
    """After a reload: who is known by a configured key, then whose ID is configured, then the older one comes first."""
    keys = config.keys or ()
    return entry.key not in keys, (entry.answer or {}).get("id") not in keys, *entry.created(), entry.key
