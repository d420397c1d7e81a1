"""The status page: a status, filtered and sorted, as HTML that needs nothing else, from here or from another host."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup
from starlette.datastructures import QueryParams
from starlette.templating import Jinja2Templates

from exporter import DOCUMENTATION
from exporter.cooperative import in_slices
from exporter.status.model import LEVELS, Deployment, Level, Status
from exporter.web.assets import SCRIPT, STYLE, TEMPLATES

MOST_ROWS = 1000  # more than that nobody reads, and browsers get slow
MAX_FILTER = 200  # characters
REFRESH = 5  # s between two looks of an open page
COLOURS: dict[Level, str] = {"critical": "c81e3a", "warning": "d29922", "busy": "0969da", "ok": "1a7f37"}
UNITS = (("d", 86_400), ("h", 3600), ("min", 60), ("s", 1))  # s
SHORT = 8  # characters of a revision that tell it from others


@dataclass(frozen=True, slots=True)
class Sort:
    """An order of the deployments, among equals as they come: by trouble, project and name."""

    key: Callable[[Deployment], Any]
    ascending: bool = True


def _share(part: float | None, whole: float | None) -> float:
    return (part or 0) / whole if whole else 1.0


SORTS: dict[str, Sort] = {
    "trouble": Sort(lambda d: LEVELS.index(d.level), ascending=False),
    "name": Sort(lambda d: (d.deployment, d.project)),
    "ready": Sort(lambda d: _share(d.ready_replicas, d.desired_replicas)),
    "gpus": Sort(lambda d: -(d.gpus_per_replica or 0) * (d.desired_replicas or 0), ascending=False),
    "rollout": Sort(lambda d: _share(d.replicas_updated, d.replicas_listed)),
    "age": Sort(lambda d: -(d.age_seconds if d.age_seconds is not None else float("inf")), ascending=False),
}


@dataclass(frozen=True, slots=True)
class Query:
    """What of the fleet is asked for. `filter`: words that must all be found in what is said of a deployment."""

    filter: str = ""
    sort: str = "trouble"

    @classmethod
    def of(cls, parameters: QueryParams) -> Query:
        sort = parameters.get("sort", "")
        return cls(parameters.get("filter", "").strip()[:MAX_FILTER], sort if sort in SORTS else "trouble")

    def link(self, **changes: str) -> str:
        """The address of the same page with another filter or order; relative, so that it works below any path."""
        asked = {"filter": self.filter, "sort": self.sort, **changes}
        given = {key: value for key, value in asked.items() if value and (key, value) != ("sort", "trouble")}
        return f"./?{urlencode(given)}" if given else "./"


class StatusPage:
    """`telemetry_path`: where the metrics are."""

    def __init__(self, telemetry_path: str) -> None:
        environment = Environment(
            loader=FileSystemLoader(TEMPLATES), autoescape=True, undefined=StrictUndefined, trim_blocks=False
        )
        environment.filters.update(ago=ago, clock=clock, moment=moment, number=number, short=short, span=span)
        environment.globals.update(
            docs=DOCUMENTATION,
            metrics=telemetry_path.removeprefix("/"),
            refresh=REFRESH,
            script=Markup(SCRIPT.text),  # noqa: S704 - our own files, not what the API says
            sorts=SORTS,
            style=Markup(STYLE.text),  # noqa: S704 - as above
            tally=tally,
        )
        self._template = Jinja2Templates(env=environment).get_template("status.html")

    async def render(self, status: Status, query: Query) -> bytes:
        found = [deployment async for deployment in in_slices(status.deployments) if _matches(deployment, query.filter)]
        found.sort(key=SORTS[query.sort].key)
        generated = self._template.generate(
            status=status,
            found=found,
            shown=found[:MOST_ROWS],
            filter=query.filter,
            sort=query.sort,
            link=query.link,
            colour=COLOURS[_worst(status)],
        )
        parts = [part async for part in in_slices(generated)]
        return "".join(parts).encode(errors="replace")


def _worst(status: Status) -> Level:
    return next((level for level in LEVELS if status.levels[level]), "ok")


def _matches(d: Deployment, text: str) -> bool:
    if not text:
        return True
    said: list[str | None] = [d.project, d.deployment, d.id, d.level, d.status, d.gpu_type, d.image, d.revision]
    said += [finding.message for finding in d.findings]
    said += [word for r in d.replicas for word in (r.replica, r.status, r.reason)]
    haystack = "\n".join(word for word in said if word).casefold()
    return all(word in haystack for word in text.casefold().split())


def tally(d: Deployment) -> str:
    """`3 Running, 1 Waiting` of the replicas that are listed."""
    counts: dict[str, int] = {}
    for replica in d.replicas:
        name = replica.status or "no status"
        counts[name] = counts.get(name, 0) + 1
    unnamed = (d.replicas_listed or 0) - len(d.replicas)
    told = [f"{count} {name}" for name, count in sorted(counts.items())]
    return ", ".join([*told, f"{unnamed} more"] if unnamed > 0 else told)


def number(count: float | None) -> str:
    return "–" if count is None else f"{count:,.0f}" if count == int(count) else f"{count:g}"


def short(text: str) -> str:
    return text[:SHORT]


def clock(time: str) -> str:
    """`14:03:07 UTC` of a moment of today."""
    return f"{time[11:19]} UTC"


def moment(time: str | None) -> str:
    """`2026-04-01 14:03 UTC`."""
    return f"{time[:10]} {time[11:16]} UTC" if time else "some moment"


def span(seconds: float) -> str:
    """`45 s`, `2 min 5 s`, `3 h`, `400 ms`: one unit or two."""
    if seconds < 1:
        return f"{1000 * seconds:.0f} ms"
    left, told = round(seconds), []
    for name, size in UNITS:
        count, left = divmod(left, size)
        if count:
            told.append(f"{count} {name}")
    return " ".join(told[:2])


def ago(seconds: float) -> str:
    return f"{span(max(round(seconds), 0))} ago" if round(seconds) > 0 else "now"
