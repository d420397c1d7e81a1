"""Resolves projects: values that a project does not set come from the general settings or the environment."""

from __future__ import annotations

import ssl
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

from pydantic import BaseModel, SecretStr

from exporter.labels import LabelRule, Labels, exported, exported_name
from exporter.patterns import matches
from exporter.settings import environment, trust
from exporter.settings.durations import show
from exporter.settings.keys import KeySource, KeyUnusable
from exporter.settings.model import DEFAULT_BASE_URL, ProjectSettings, Settings
from exporter.settings.problems import Problem, closest
from exporter.settings.proxies import ProxyRefused, proxy_for
from exporter.settings.urls import base_url

API_KEY_VARIABLE, BASE_URL_VARIABLE = "TOGETHER_API_KEY", "TOGETHER_BASE_URL"  # the names of Together's SDK
KEY_SOURCES = ("api_key_file", "api_key_env", "api_key")
STALE_AFTER = 300.0  # s; the default
STALE_POLLS = 3  # minimum number of poll intervals, by default

TIMES = ("poll_interval", "stale_after")

KeyPath = tuple[str | int, ...]
Locate = Callable[[KeyPath, str], Problem]


@dataclass(frozen=True, slots=True)
class Project:
    """A project that is ready to be polled. Times are in seconds. `deployments`: interval of each deployment; None
    discovers them. `proxy`: URL of the proxy, None for direct connections. `tls`: None if nothing is encrypted.
    Projects of two loads that compare equal keep their connections at a reload."""

    name: str
    base_url: str
    key: KeySource
    proxy: SecretStr | None
    tls: ssl.SSLContext | None
    fetch: Literal["each", "list"]
    deployments: Mapping[str, float] | None
    include: tuple[str, ...]
    exclude: tuple[str, ...]
    labels: Labels
    max_requests_per_second: float
    queue: bool
    queues: tuple[str, ...]
    revisions: bool
    replica_metrics: bool
    poll_interval: float
    poll_timeout: float
    stale_after: float

    @property
    def shortest_interval(self) -> float:
        return min((self.deployments or {}).values(), default=self.poll_interval)

    @property
    def requests_per_minute(self) -> float:
        """Requests per minute without retries, queues and revisions."""
        if self.fetch == "list" or self.deployments is None:
            return 60 / self.poll_interval
        return sum(60 / interval for interval in self.deployments.values())

    def wants(self, name: str) -> bool:
        """Returns whether a discovered deployment of this name is exported."""
        included = not self.include or any(matches(pattern, name) for pattern in self.include)
        return included and not any(matches(pattern, name) for pattern in self.exclude)


def resolve(
    settings: Settings, environ: Mapping[str, str], locate: Locate, invalid: Collection[KeyPath] = ()
) -> tuple[list[Project], list[Problem]]:
    """The projects that can be polled, and all problems. `locate`: names a key's place. `invalid`: keys with invalid
    values, and unknown keys, which the settings lack: what depends on them is not checked."""
    problems = [locate(*each) for each in _conflicts(settings, invalid)]
    projects: list[Project] = []
    if any(path[:1] == ("projects",) and len(path) <= len(("projects", 0)) for path in invalid):
        return projects, problems
    general = _meant(invalid, Settings)
    for index, section in enumerate(settings.projects):

        def locate_in(path: KeyPath, text: str, index: int = index) -> Problem:
            return locate(("projects", index, *path), text)

        lacking = _meant([path[2:] for path in invalid if path[:2] == ("projects", index)], ProjectSettings)
        resolver = _Resolver(section, settings, environ, locate_in, lacking)
        project = resolver.project()
        problems += resolver.problems
        if lacking.isdisjoint(TIMES) and general.isdisjoint(TIMES) and (text := _impatient(project)):
            place = locate_in if section.stale_after else locate
            problems.append(place(("stale_after",), text))
        if not resolver.problems:
            projects.append(project)
    return projects, problems


def _meant(paths: Iterable[KeyPath], model: type[BaseModel]) -> frozenset[str]:
    """The keys of a section that are invalid or, probably, misspelled."""
    return frozenset(closest(str(path[0]), model.model_fields) or str(path[0]) for path in paths)


def key_place(section: ProjectSettings) -> str:
    """Describes the source of the project's key, for `check`."""
    if section.api_key_file is not None:
        return f"the file {section.api_key_file}"
    if section.api_key is not None:
        return "the configuration itself"
    return f"the variable {section.api_key_env or API_KEY_VARIABLE}"


class _Resolver:
    """Resolves one project. A project with problems must not be used.

    `lacking`: keys of the project with invalid values, which the section lacks."""

    def __init__(
        self,
        section: ProjectSettings,
        settings: Settings,
        environ: Mapping[str, str],
        locate: Locate,
        lacking: frozenset[str],
    ) -> None:
        self._section = section
        self._settings = settings
        self._environ = environ
        self._locate = locate
        self._lacking = lacking
        self.problems: list[Problem] = []

    def project(self) -> Project:
        section, settings = self._section, self._settings
        interval = section.poll_interval or settings.poll_interval
        intervals = None
        if section.deployments is not None:
            intervals = {d.name: d.poll_interval or interval for d in section.deployments}
        url = self._base_url()
        proxy = self._proxy(url)
        longest = max((intervals or {}).values(), default=interval)
        project = Project(
            name=section.name,
            base_url=url,
            key=self._key(),
            proxy=proxy,
            tls=self._tls(url, proxy),
            fetch=section.fetch or ("list" if intervals is None else "each"),
            deployments=intervals,
            include=section.include,
            exclude=section.exclude,
            labels=_labels(section),
            max_requests_per_second=section.max_requests_per_second,
            queue=section.queue,
            queues=section.queues,
            revisions=section.revisions,
            replica_metrics=settings.replica_metrics if section.replica_metrics is None else section.replica_metrics,
            poll_interval=interval,
            poll_timeout=section.poll_timeout or settings.poll_timeout,
            stale_after=section.stale_after or settings.stale_after or max(STALE_AFTER, STALE_POLLS * longest),
        )
        self.problems += [self._locate(*each) for each in _misfits(section, project, self._lacking)]
        return project

    def _base_url(self) -> str:
        """The configured or default base URL; the default if the configured one is invalid."""
        if "base_url" in self._lacking:
            return DEFAULT_BASE_URL
        try:
            if self._section.base_url is not None:
                return base_url(self._section.base_url)
        except ValueError as error:
            self.problems.append(self._locate(("base_url",), str(error)))
            return DEFAULT_BASE_URL
        try:
            return base_url(environment.value(self._environ, BASE_URL_VARIABLE) or DEFAULT_BASE_URL)
        except ValueError as error:
            self.problems.append(Problem(BASE_URL_VARIABLE, "", str(error)))
        return DEFAULT_BASE_URL

    def _proxy(self, url: str) -> SecretStr | None:
        try:
            return proxy_for(url, self._environ)
        except ProxyRefused as error:
            self.problems.append(Problem(error.variable, "", str(error)))
        return None

    def _tls(self, url: str, proxy: SecretStr | None) -> ssl.SSLContext | None:
        urls = (url, proxy.get_secret_value() if proxy else "")
        if self._section.ca_file is None and not any(each.lower().startswith("https:") for each in urls):
            return None
        try:
            return trust.tls_context(self._section.ca_file, self._environ)
        except trust.TrustRefused as error:
            at = self._locate(("ca_file",), str(error))
            self.problems.append(Problem(error.variable, "", str(error)) if error.variable else at)
        return None

    def _key(self) -> KeySource:
        section = self._section
        if not self._lacking.isdisjoint(KEY_SOURCES):
            return KeySource()
        if section.api_key_file is not None:
            return self._usable(KeySource(file=section.api_key_file), "api_key_file")
        if section.api_key is not None:
            return self._usable(KeySource(value=section.api_key), "api_key")
        variable = section.api_key_env or API_KEY_VARIABLE
        try:
            text = environment.value(self._environ, variable)
        except ValueError as error:
            self.problems.append(self._key_problem(variable, str(error)))
            return KeySource()
        if text is None:
            self.problems.append(self._key_problem(variable, None))
            return KeySource()
        return self._usable(KeySource(value=SecretStr(text)), "api_key_env", variable)

    def _usable(self, source: KeySource, kind: str, variable: str | None = None) -> KeySource:
        try:
            source.read()
        except KeyUnusable as error:
            text = str(error).removeprefix("the API key ") if variable else str(error)
            problem = self._key_problem(variable, text) if variable else self._locate((kind,), text)
            self.problems.append(problem)
        return source

    def _key_problem(self, variable: str, text: str | None) -> Problem:
        """Returns the problem of a variable that contains a key. `text`: None if the variable is not set."""
        if self._section.api_key_env is not None:
            text = text or "is not set; set it to the project's API key"
            return self._locate(("api_key_env",), f"{variable} {text}")
        if text is not None:
            return Problem(variable, "", text)
        if "projects" not in self._settings.model_fields_set:
            text = f"is not set; set {variable} to an API key, or list projects in a --config.file"
            return Problem(variable, "", text)
        return self._locate((), f"has no API key; set {variable}, or give api_key_file")


def _labels(section: ProjectSettings) -> Labels:
    return Labels(
        common=exported(section.labels),
        variables={variable: exported_name(variable) for variable in section.label_variables},
        rules=tuple(LabelRule(rule.match, exported(rule.labels)) for rule in section.label_rules),
        deployments={d.name: exported(d.labels) for d in section.deployments or () if d.labels},
    )


def _conflicts(settings: Settings, invalid: Collection[KeyPath]) -> Iterator[tuple[KeyPath, str]]:
    """Conflicts between projects, and between general settings."""
    names = Counter(project.name for project in settings.projects)
    for index, project in enumerate(settings.projects):
        if names[project.name] > 1 and ("projects", index, "name") not in invalid:
            yield ("projects", index, "name"), f'"{project.name}" names more than one project; give each its own'
    if settings.shard.index >= settings.shard.total and not any(path[:1] == ("shard",) for path in invalid):
        yield ("shard", "index"), f"must be below shard.total, which is {settings.shard.total}"


def _misfits(section: ProjectSettings, project: Project, lacking: Collection[str]) -> Iterator[tuple[KeyPath, str]]:
    """Conflicts between keys of one project."""
    sources = [name for name in KEY_SOURCES if getattr(section, name) is not None]
    if len(sources) > 1:
        yield (), f"has {' and '.join(sources)}; keep one"
    for name, count in Counter(d.name for d in section.deployments or ()).items():
        if count > 1:
            yield ("deployments",), f'"{name}" is listed {count} times; keep one'
    if section.fetch == "each" and section.deployments is None and "deployments" not in lacking:
        yield ("fetch",), "each needs `deployments`; list them, or write fetch: list to discover them"
    if section.deployments is not None and not section.deployments:
        yield ("deployments",), "is empty; list names or IDs, or remove the key to discover all"
    if section.deployments is not None and (section.include or section.exclude):
        yield ("include" if section.include else "exclude",), "is for discovery; remove it or `deployments`"
    if project.fetch == "list" and any(d.poll_interval for d in section.deployments or ()):
        yield ("deployments",), "a poll_interval of its own needs fetch: each; a list is fetched as a whole"


def _impatient(project: Project) -> str:
    """What is wrong if state is stale before it is polled again; empty if nothing is."""
    slowest = max((project.deployments or {}).values(), default=project.poll_interval)
    if project.stale_after >= slowest:
        return ""
    return f"{show(project.stale_after)} is shorter than poll_interval {show(slowest)}; make it longer"
