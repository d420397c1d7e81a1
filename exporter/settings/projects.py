"""Projects with everything filled in: what one does not say comes from the general settings or the environment."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal
from urllib.parse import urlsplit

from exporter.settings.durations import show
from exporter.settings.keys import KeySource, KeyUnusable, from_environment
from exporter.settings.model import DEFAULT_BASE_URL, ProjectSettings, Settings

API_KEY_VARIABLE, BASE_URL_VARIABLE = "TOGETHER_API_KEY", "TOGETHER_BASE_URL"  # of Together's own SDK
API_VERSION = "v1"
STALE_AFTER = 300.0  # s; the default
STALE_POLLS = 3  # at least so many poll intervals, by default

KeyPath = tuple[str | int, ...]


@dataclass(frozen=True, slots=True)
class Project:
    """One project, ready to be polled. Times are seconds; `deployments`: each one's interval, None discovers."""

    name: str
    base_url: str
    key: KeySource
    fetch: Literal["each", "list"]
    deployments: Mapping[str, float] | None
    include: tuple[re.Pattern[str], ...]
    exclude: tuple[re.Pattern[str], ...]
    max_requests_per_second: float
    queue: bool
    poll_interval: float
    poll_timeout: float
    stale_after: float

    @property
    def requests_per_minute(self) -> float:
        """Without retries and queues."""
        if self.fetch == "list" or self.deployments is None:
            return 60 / self.poll_interval
        return sum(60 / interval for interval in self.deployments.values())

    def wants(self, name: str) -> bool:
        """Whether a discovered deployment of this name is exported."""
        included = not self.include or any(pattern.fullmatch(name) for pattern in self.include)
        return included and not any(pattern.fullmatch(name) for pattern in self.exclude)


def resolve(settings: Settings, environ: Mapping[str, str]) -> tuple[list[Project], list[tuple[KeyPath, str]]]:
    """The projects, and (key path, hint) for each thing that does not fit together."""
    projects, problems = [], list(_doubled(settings))
    for index, given in enumerate(settings.projects):
        project = _project(given, settings, environ)
        problems += [(("projects", index, *path), hint) for path, hint in _misfits(given, project, environ)]
        projects.append(project)
    if settings.shard.index >= settings.shard.total:
        problems.append((("shard", "index"), f"must be below shard.total, which is {settings.shard.total}"))
    return projects, problems


def _project(given: ProjectSettings, settings: Settings, environ: Mapping[str, str]) -> Project:
    interval = given.poll_interval or settings.poll_interval
    named = given.deployments
    intervals = None if named is None else {d.name: d.poll_interval or interval for d in named}
    longest = max((intervals or {}).values(), default=interval)
    return Project(
        name=given.name,
        base_url=base_url(given.base_url or environ.get(BASE_URL_VARIABLE) or DEFAULT_BASE_URL),
        key=_key(given, environ) or KeySource(),
        fetch=given.fetch or ("list" if named is None else "each"),
        deployments=intervals,
        include=given.include,
        exclude=given.exclude,
        max_requests_per_second=given.max_requests_per_second,
        queue=given.queue,
        poll_interval=interval,
        poll_timeout=given.poll_timeout or settings.poll_timeout,
        stale_after=given.stale_after or settings.stale_after or max(STALE_AFTER, STALE_POLLS * longest),
    )


def base_url(text: str) -> str:
    """With its `/v1` and without a slash at the end, however it was given."""
    text = text.rstrip("/")
    return text if text.rsplit("/", 1)[-1] == API_VERSION else f"{text}/{API_VERSION}"


def _key(given: ProjectSettings, environ: Mapping[str, str]) -> KeySource | None:
    if given.api_key_file is not None:
        return KeySource(file=given.api_key_file)
    if given.api_key_env is not None:
        return from_environment(environ, given.api_key_env)
    if given.api_key is not None:
        return KeySource(value=given.api_key)
    return from_environment(environ, API_KEY_VARIABLE)


def key_place(given: ProjectSettings) -> str:
    """Where the project's key comes from, in words."""
    if given.api_key_file is not None:
        return f"the file {given.api_key_file}"
    if given.api_key is not None:
        return "the configuration itself"
    return f"the variable {given.api_key_env or API_KEY_VARIABLE}"


def _doubled(settings: Settings) -> Iterator[tuple[KeyPath, str]]:
    names = Counter(project.name for project in settings.projects)
    for index, project in enumerate(settings.projects):
        if names[project.name] > 1:
            yield ("projects", index, "name"), f'"{project.name}" names more than one project; give each its own'
        deployments = Counter(d.name for d in project.deployments or ())
        for name, count in deployments.items():
            if count > 1:
                yield ("projects", index, "deployments"), f'"{name}" is listed {count} times; keep one'


def _misfits(given: ProjectSettings, project: Project, environ: Mapping[str, str]) -> Iterator[tuple[KeyPath, str]]:
    yield from _key_misfits(given, project, environ)
    url = _split(project.base_url)
    if url is None:
        yield ("base_url",), "is not a URL; write one such as https://api.together.ai/v1"
    elif "@" in urlsplit(project.base_url).netloc:
        yield ("base_url",), "holds a user or a password, which logs would show; remove it"
    if project.fetch == "each" and not given.deployments:
        yield ("fetch",), "each needs `deployments`; list them, or write fetch: list to discover them"
    if given.deployments is not None and not given.deployments:
        yield ("deployments",), "is empty; list names or IDs, or remove the key to discover all"
    if given.deployments is not None and (given.include or given.exclude):
        yield ("include" if given.include else "exclude",), "is for discovery; remove it or `deployments`"
    if project.fetch == "list" and any(d.poll_interval for d in given.deployments or ()):
        yield ("deployments",), "a poll_interval of its own needs fetch: each; a list is fetched as a whole"
    slowest = max((project.deployments or {}).values(), default=project.poll_interval)
    if project.stale_after < slowest:
        yield (
            ("stale_after",),
            f"{show(project.stale_after)} is shorter than poll_interval {show(slowest)}; make it longer",
        )


def _key_misfits(given: ProjectSettings, project: Project, environ: Mapping[str, str]) -> Iterator[tuple[KeyPath, str]]:
    kinds = ("api_key_file", "api_key_env", "api_key")
    kind = next((name for name in kinds if getattr(given, name) is not None), None)
    if kind == "api_key_env" and given.api_key_env not in environ:
        yield ("api_key_env",), f"{given.api_key_env} is not set; set it to the project's API key"
    elif kind is None and API_KEY_VARIABLE not in environ:
        yield (), f"has no API key; set {API_KEY_VARIABLE}, or give api_key_file"
    else:
        try:
            project.key.read()
        except KeyUnusable as error:
            yield (kind,) if kind else (), f"{error}; put the project's API key there"


def _split(url: str) -> str | None:
    """The host; None where there is no usable one."""
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError:
        return None
    return parts.hostname if parts.scheme in {"http", "https"} else None
