"""Reports outcomes of polls: one log line per change of state, counters for repeats."""

from __future__ import annotations

import logging
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import structlog

from exporter.api.errors import ApiError, IncompleteList, InternalError, InvalidResponse, NotFound
from exporter.api.models import Dropped
from exporter.cooperative import in_slices
from exporter.polling.fetches import FETCHES, Name
from exporter.polling.plan import Plan
from exporter.self_metrics import SelfMetrics
from exporter.state.projects import queues_of
from exporter.state.records import REFUSALS, RETRY_REFUSED, Project, Record

RETURN_INTERVAL = 60.0  # s after which a reason that returns is logged again
REMINDER_INTERVAL = 600.0  # s between log lines of a continuing failure
# Reasons specific to a deployment. All others likely apply to the whole project and are logged once.
OWN_REASONS = frozenset(error.reason for error in (NotFound, InvalidResponse, InternalError))
REFUSED_HINT = "Grant the API key access to this endpoint, or turn off {} for the project."
DROP_MESSAGES = {
    "replica_limit": "replicas above max_replicas_per_deployment omitted",
    "deployment_limit": "deployments above max_deployments_per_project omitted",
    "duplicate_deployment": "deployment listed more than once, exporting the oldest",
    "invalid_value": "invalid values omitted",
    "label_length_limit": "label values truncated to 1,024 characters",
    "entry_limit": "list entries above 1,000 omitted",
}

log = structlog.get_logger()


@dataclass(slots=True)
class _Failure:
    """`since`, `logged_at`: monotonic seconds; None if the line of another deployment covers this reason.

    `has_line`: whether the subject was logged, so that its recovery must be logged too."""

    reason: str
    since: float
    logged_at: float | None
    has_line: bool


class Reporter:
    """Reporter of one project. State about a subject is dropped when it succeeds or disappears."""

    def __init__(self, project: str, metrics: SelfMetrics) -> None:
        self.project = project
        self._metrics = metrics
        self._log = log.bind(project=project)
        self._failures: dict[tuple[Name, str], _Failure] = {}  # by fetch and subject
        # When a reason was last logged on behalf of all deployments, by fetch and reason, until the fetch succeeds.
        self._shared: dict[tuple[Name, str], float] = {}
        self._has_succeeded = False
        self._logged_drops: defaultdict[str, set[tuple[str, str]]] = defaultdict(set)  # by key: reason and field

    def request_ended(self, code: str) -> None:
        self._metrics.api_requests.labels(self.project, code).inc()

    def poll_ended(self, fetch: Name, took: float, errors: Sequence[ApiError]) -> None:
        """Counts a poll, which may have several requests. `took`: seconds."""
        self._metrics.poll_duration.labels(self.project, fetch).observe(took)
        self._metrics.polls.labels(self.project, fetch).inc()
        if errors:
            self._metrics.poll_failures.labels(self.project, fetch, errors[0].reason).inc()

    def failed(self, plan: Plan, subject: str, before: Project | None, error: ApiError, now: float) -> None:
        """`now`: monotonic seconds. `before`: the project's value before the failure. Must be called from an exception
        handler: an InternalError is logged with its traceback."""
        fetch = plan.fetch
        previous = self._failures.get((fetch, subject)) or _Failure(error.reason, now, None, has_line=False)
        logged_at = previous.logged_at if previous.reason == error.reason else None
        is_shared = _is_shared(fetch, error)
        if is_shared:
            logged_at = self._shared.get((fetch, error.reason))
        is_due = logged_at is None or now - logged_at >= REMINDER_INTERVAL
        if logged_at is not None and self._is_back(fetch, logged_at, now):
            logged_at, is_due = None, True
        self._failures[fetch, subject] = _Failure(
            error.reason, previous.since, now if is_due else logged_at, has_line=previous.has_line or is_due
        )
        if not is_due:
            return
        if is_shared:
            self._shared[fetch, error.reason] = now
        details = {"failing_for": f"{now - previous.since:.0f}s"} if now > previous.since else {}
        if error.request_id is not None:
            details["request_id"] = error.request_id
        event = "poll failed" if logged_at is None else "poll still failing"
        is_ours = isinstance(error, InternalError)
        if logged_at is None and not is_ours:
            is_refused = FETCHES[fetch].is_opt_in and isinstance(error, REFUSALS)
            details["hint"] = REFUSED_HINT.format(fetch) if is_refused else error.hint
        self._log.log(
            logging.ERROR if is_ours else logging.WARNING,
            "unexpected exception in poll (please report)" if is_ours else event,
            **_where(fetch, subject, before),
            reason=error.reason,
            error=str(error),
            **details,
            next_in=f"{round(_next_in(plan, error), 1):g}s",
            **({"exc_info": True} if is_ours else {}),
        )

    def _is_back(self, fetch: Name, logged_at: float, now: float) -> bool:
        """Whether another shared reason was logged since, and not only because reasons alternate."""
        latest = max((at for each, at in self._shared.items() if each[0] == fetch), default=logged_at)
        return latest > logged_at and now - logged_at >= RETURN_INTERVAL

    async def succeeded(self, fetch: Name, subject: str, before: Project, after: Project, took: float) -> None:
        """`before`, `after`: the project's values. `took`: seconds."""
        self._shared = {each: at for each, at in self._shared.items() if each[0] != fetch}
        failure = self._failures.pop((fetch, subject), None)
        if failure is not None and failure.has_line:
            self._log.info("poll recovered", **_where(fetch, subject, after))
        if not self._has_succeeded and not FETCHES[fetch].is_opt_in:
            self._has_succeeded = True
            if not _was_read(before):
                where: dict[str, object] = {**_where(fetch, subject, after)}
                if fetch == "list":
                    where["deployments"] = len(after.records)
                self._log.info("first poll succeeded", fetch=fetch, **where, took=f"{took:.3f}s")
        if fetch == "list":
            await self._listed(before, after)
        elif fetch == "each" and subject in after.records:
            self._changed(before, before.records.get(subject), after.records[subject])

    async def _listed(self, before: Project, after: Project) -> None:
        is_first = before.listing is None or before.listing.succeeded is None
        async for key, record in in_slices(after.records.items()):
            old = before.records.get(key)
            if old is record:
                continue
            if old is None and not is_first:
                message = "deployment reappeared" if key in before.absent else "deployment appeared"
                self._log.info(message, deployment=record.name)
            self._poll_changed(before, old, record)
            self._changed(before, old, record)
        for key, gone in before.records.items():
            if key not in after.records:
                self._logged_drops.pop(key, None)
                self._failures.pop(("revisions", key), None)
                self._log.info("deployment disappeared", deployment=gone.name, reason=_why_gone(after))
        asked = set(queues_of(after.records, after.target))
        self._failures = {at: each for at, each in self._failures.items() if at[0] != "queue" or at[1] in asked}
        self._completeness(before, after)
        self._dropped("", "", after.dropped)

    def _completeness(self, before: Project, after: Project) -> None:
        """One line for all that incomplete lists lack."""
        if before.is_complete and not after.is_complete:
            missing = sum(isinstance(record.poll.error, IncompleteList) for record in after.records.values())
            effect = "deployments missing from it count as failed polls"
            self._log.warning("list is incomplete", error=str(IncompleteList()), missing=missing, effect=effect)
        elif after.is_complete and not before.is_complete:
            self._log.info("list is complete again")

    def _poll_changed(self, before: Project, old: Record | None, record: Record) -> None:
        """A deployment missing from, or invalid in, a successful list."""
        error, earlier = record.poll.error, old.poll.error if old else None
        if isinstance(error, IncompleteList) or isinstance(earlier, IncompleteList):
            return
        if error is not None and (earlier is None or earlier.reason != error.reason):
            self._log.warning("poll failed", deployment=record.name, reason=error.reason, error=str(error))
        is_projects = before.listing is not None and earlier is before.listing.error
        if error is None and earlier is not None and not is_projects:
            self._log.info("poll recovered", deployment=record.name)

    def _changed(self, before: Project, old: Record | None, record: Record) -> None:
        if record.state is None or (old is not None and old.state is record.state):
            return
        absent = before.absent.get(record.key)
        history = old.history if old is not None else absent.history if absent is not None else None
        status = record.state.deployment.status
        is_same = history is not None and history.id in {None, record.history.id}
        if history is not None and is_same and None not in {history.status, status} and history.status != status:
            self._log.info("status changed", deployment=record.name, before=history.status, after=status)
        self._dropped(record.key, record.name, record.state.dropped)

    def _dropped(self, key: str, deployment: str, dropped: Sequence[Dropped]) -> None:
        """Logs dropped items the first time, and again for each new field."""
        logged = self._logged_drops[key] if dropped else set()
        counts: Counter[tuple[str, str]] = Counter()
        for each in dropped:
            counts[each.reason, each.field] += each.count
        for (reason, field), count in counts.items():
            if (reason, field) in logged:
                continue
            logged.add((reason, field))
            where = {"deployment": deployment} if deployment else {}
            named = {"deployment" if reason == "duplicate_deployment" else "field": field} if field else {}
            self._log.warning(DROP_MESSAGES[reason], reason=reason, **where, **named, count=count)


def _was_read(project: Project) -> bool:
    """Whether a poll of the project has ever succeeded, also under an earlier configuration."""
    listing = project.listing.succeeded if project.listing else None
    return listing is not None or any(record.poll.succeeded for record in project.records.values())


def _is_shared(fetch: Name, error: ApiError) -> bool:
    """Whether the error likely applies to all deployments or queues of the project, and is logged once."""
    return fetch == "revisions" or (fetch != "list" and error.reason not in OWN_REASONS)


def _why_gone(project: Project) -> str:
    """Why a deployment may be missing from the project."""
    reasons = ["no longer listed by the API"]
    if project.target.include or project.target.exclude:
        reasons.append("renamed and no longer included")
    if any(each.reason == "deployment_limit" for each in project.dropped):
        reasons.append("above max_deployments_per_project")
    return ", or ".join(reasons)


def _next_in(plan: Plan, error: ApiError) -> float:
    """Seconds to the next try."""
    is_refused = FETCHES[plan.fetch].is_opt_in and isinstance(error, REFUSALS)
    return max(plan.interval, RETRY_REFUSED if is_refused else error.pause)


def _where(fetch: Name, subject: str, project: Project | None = None) -> dict[str, str]:
    """Log fields that identify the subject of a poll, with the deployment's name if available."""
    if fetch == "list":
        return {}
    if fetch == "queue":
        return {"queue": subject}
    record = project.records.get(subject) if project else None
    where = {"deployment": record.name if record else subject}
    return {**where, "fetch": fetch} if fetch == "revisions" else where
