"""All settings with their types and defaults."""

from __future__ import annotations

import json
import re
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    SecretStr,
    WithJsonSchema,
    model_validator,
)
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from exporter.labels import collision
from exporter.patterns import compiled
from exporter.settings.addresses import parse as parse_address
from exporter.settings.durations import IN_JSON, Duration, parse

ENV_PREFIX = "TOGETHER_EXPORTER_"
DEFAULT_BASE_URL = "https://api.together.ai/v1"
MIN_POLL_INTERVAL = 0.1  # s
MAX_COUNT = 1_000_000  # of counts; larger values are typing errors
PATH = re.compile(r"((?!\.{1,2}(/|$))[\w.~-]+(/(?!\.{1,2}(/|$))[\w.~-]+)*)?", re.ASCII)  # what needs no escapes
RESERVED_PATHS = frozenset({"/", "/-/healthy", "/-/ready", "/-/reload", "/api/v1/status", "/api/v1/sd"})


def _pattern(text: str) -> str:
    compiled(text)
    return text


Pattern = Annotated[str, AfterValidator(_pattern), WithJsonSchema({"type": "string", "format": "regex"})]


def _poll_interval(text: object) -> float:
    seconds = parse(text)
    if seconds < MIN_POLL_INTERVAL:
        raise ValueError("must be at least 100ms")
    return seconds


def _deployment_name(name: str) -> str:
    if name.strip() in {"", ".", ".."}:
        raise ValueError("is not a valid deployment name or ID")
    return name


def _telemetry_path(path: str) -> str:
    if not path.startswith("/") or not PATH.fullmatch(path[1:]) or path in RESERVED_PATHS:
        raise ValueError("must be a path such as /metrics that no other endpoint uses")
    return path


def _route_prefix(prefix: str) -> str:
    """Returns the prefix with a leading and without a trailing slash, or an empty string for no prefix."""
    path = prefix.strip("/")
    if not PATH.fullmatch(path):
        raise ValueError('must be a path of letters, digits and any of "-_.~/", such as /together')
    return f"/{path}" if path else ""


def _listen_address(text: str) -> str:
    parse_address(text)
    return text.strip()


def _one_or_more(value: object) -> object:
    """Accepts one address, or a JSON list of addresses from a variable; `[::1]:10170` is not valid JSON."""
    if not isinstance(value, str):
        return value
    try:
        addresses = json.loads(value)
    except (ValueError, RecursionError):
        return (value,)
    return addresses if isinstance(addresses, list) else (value,)


def _each_once(addresses: tuple[str, ...]) -> tuple[str, ...]:
    for address in addresses:
        if addresses.count(address) > 1 and parse_address(address).port:
            raise ValueError(f'lists "{address}" more than once; keep one')
    return addresses


def _text_in_quotes(value: object) -> object:
    """Rejects values that YAML does not read as text, such as 12345, no and 12:30."""
    if not isinstance(value, str):
        raise ValueError("must be text; put it in quotes")
    return value


def _labels(labels: dict[str, str]) -> dict[str, str]:
    if problem := collision(labels):
        raise ValueError(problem)
    return labels


def _label_variables(names: tuple[str, ...]) -> tuple[str, ...]:
    if problem := collision(names):
        raise ValueError(problem)
    return names


Name = Annotated[str, Field(min_length=1)]
LabelMap = Annotated[dict[str, str], AfterValidator(_labels)]
ListenAddresses = Annotated[
    tuple[Annotated[str, AfterValidator(_listen_address)], ...],
    Field(min_length=1),
    NoDecode,
    BeforeValidator(_one_or_more),
    AfterValidator(_each_once),
    WithJsonSchema({"anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}, "minItems": 1}]}),
]
PollInterval = Annotated[float, BeforeValidator(_poll_interval), IN_JSON]


def _or_a_name(schema: dict[str, Any]) -> None:
    whole = dict(schema)
    schema.clear()
    schema["anyOf"] = [{"type": "string", "minLength": 1}, whole]


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)


class DeploymentSettings(_Section):
    """A deployment to poll; a plain string in the file is its name."""

    model_config = ConfigDict(json_schema_extra=_or_a_name)

    name: Annotated[str, AfterValidator(_deployment_name)] = Field(description="Name or ID of the deployment.")
    poll_interval: PollInterval | None = Field(
        None, description="Poll interval of this deployment. Default: the project's."
    )
    labels: LabelMap = Field(default_factory=dict, description="Labels to export for this deployment.")

    @model_validator(mode="before")
    @classmethod
    def _plain_name(cls, data: Any) -> Any:
        return data if isinstance(data, dict) else {"name": _text_in_quotes(data)}


class LabelRuleSettings(_Section):
    """Labels of deployments whose name matches."""

    match: Pattern = Field(description="Regular expression (RE2, anchored) for the deployment name.")
    labels: LabelMap = Field(description="Labels of matching deployments.")


class ProjectSettings(_Section):
    """One Together project: what one API key sees."""

    name: Name = Field("default", description="Value of the label `project`.")
    api_key_file: Name | None = Field(None, description="File containing the API key; reloaded when it changes.")
    api_key_env: Name | None = Field(None, description="Environment variable containing the API key.")
    api_key: SecretStr | None = Field(None, description="The API key; discouraged, use api_key_file or api_key_env.")
    base_url: str | None = Field(
        None, description=f"Base URL of the API. Default: TOGETHER_BASE_URL, or {DEFAULT_BASE_URL}."
    )
    ca_file: Name | None = Field(
        None,
        description="PEM file with the CA certificate of base_url. Default: SSL_CERT_FILE, or the system's.",
    )
    fetch: Literal["each", "list"] | None = Field(
        None,
        description="each: one request per deployment; list: one request per project. Default: each if "
        "`deployments` is set, list otherwise.",
    )
    deployments: tuple[DeploymentSettings, ...] | None = Field(
        None, description="Deployments to poll, by name or ID. Default: all deployments of the project."
    )
    include: tuple[Pattern, ...] = Field(
        (),
        min_length=1,
        description="Export only discovered deployments that match a regular expression (RE2, anchored).",
    )
    exclude: tuple[Pattern, ...] = Field(
        (),
        description="Do not export discovered deployments that match a regular expression (RE2, anchored).",
    )
    labels: LabelMap = Field(
        default_factory=dict,
        description="Labels of all deployments, exported as `label_*` of `together_deployment_labels`.",
    )
    label_rules: tuple[LabelRuleSettings, ...] = Field(
        (), description="Labels by deployment name. The last matching rule takes precedence."
    )
    label_variables: Annotated[tuple[Name, ...], AfterValidator(_label_variables)] = Field(
        (),
        description="Environment variables of a deployment to export as labels; never secrets.",
    )
    max_requests_per_second: float = Field(
        5.0, gt=0, le=1000, description="Maximum rate of requests to the API, including retries."
    )
    queue: bool = Field(False, description="Also poll the queues that scale deployments.")
    queues: tuple[Name, ...] = Field((), description="Names of additional queues to poll.")
    revisions: bool = Field(
        False, description="Also fetch the newest revision of a deployment when its revision changes."
    )
    replica_metrics: bool | None = Field(None, description="Overrides the global setting for this project.")
    poll_interval: PollInterval | None = Field(None, description="Overrides the global setting for this project.")
    poll_timeout: Duration | None = Field(None, description="Overrides the global setting for this project.")
    stale_after: Duration | None = Field(None, description="Overrides the global setting for this project.")


class WebSettings(_Section):
    listen_address: ListenAddresses = Field(
        (":10170",), description="Address to listen on, or a list of addresses. Without a host, all interfaces."
    )
    telemetry_path: Annotated[str, AfterValidator(_telemetry_path)] = Field(
        "/metrics", description="Path under which metrics are exposed."
    )
    route_prefix: Annotated[str, AfterValidator(_route_prefix)] = Field(
        "", description="Prefix of all paths, such as /together, for a reverse proxy that does not strip it."
    )
    config_file: Name | None = Field(
        None, description="File with TLS and basic auth settings, in the format of Prometheus' exporter-toolkit."
    )
    enable_lifecycle: bool = Field(False, description="Enable reload via POST /-/reload.")
    max_connections: int = Field(
        512,
        ge=1,
        le=MAX_COUNT,
        description="Maximum number of connections. At the limit the longest idle connection is closed.",
    )
    max_requests: int = Field(
        40,
        ge=1,
        le=MAX_COUNT,
        description="Maximum number of concurrent scrapes. Further scrapes are answered with 503.",
    )


class LogSettings(_Section):
    level: Literal["debug", "info", "warn", "error"] = Field(
        "info", description="Only log messages with this severity or above."
    )
    format: Literal["logfmt", "json"] = Field("logfmt", description="Output format of log messages.")


class ShardSettings(_Section):
    index: int = Field(0, ge=0, le=MAX_COUNT, description="Index of this shard, starting at 0.")
    total: int = Field(1, ge=1, le=MAX_COUNT, description="Total number of shards.")


class Settings(BaseSettings):
    """The complete configuration. Durations are in seconds."""

    model_config = SettingsConfigDict(
        extra="forbid",
        frozen=True,
        env_prefix=ENV_PREFIX,
        env_nested_delimiter="__",
        validate_default=False,
        hide_input_in_errors=True,
    )

    poll_interval: PollInterval = Field(30.0, description="Poll interval of deployments and projects.")
    poll_timeout: Duration = Field(
        10.0, description="Deadline of a poll, including connect, retries and reading the body."
    )
    stale_after: Duration | None = Field(
        None,
        description="How long the last known state is exported while polls fail. Default: 5m, or 3 times the "
        "longest poll interval of the project if that is longer.",
    )
    projects: tuple[ProjectSettings, ...] = Field(
        (ProjectSettings(),), min_length=1, description="Projects to poll. Default: the project of TOGETHER_API_KEY."
    )
    replica_metrics: bool = Field(
        True, description="Export per-replica series; if false, only counts per status and reason."
    )
    max_replicas_per_deployment: int = Field(
        200, ge=0, le=MAX_COUNT, description="Maximum number of replicas per deployment with per-replica series."
    )
    max_deployments_per_project: int = Field(
        10_000, ge=1, le=MAX_COUNT, description="Maximum number of deployments exported per project."
    )
    gpu_hourly_cost: dict[str, Annotated[float, Field(ge=0, allow_inf_nan=False)]] = Field(
        default_factory=dict, description="Price of one GPU hour by GPU type; no prices are built in."
    )
    web: WebSettings = WebSettings()
    log: LogSettings = LogSettings()
    shard: ShardSettings = ShardSettings()


SECTIONS: dict[tuple[str, ...], type[BaseModel]] = {
    (): Settings,
    ("projects",): ProjectSettings,
    ("projects", "deployments"): DeploymentSettings,
    ("projects", "label_rules"): LabelRuleSettings,
    ("web",): WebSettings,
    ("log",): LogSettings,
    ("shard",): ShardSettings,
}


def option_name(path: tuple[str, ...]) -> str:
    """Returns the command line option of a setting in Prometheus' style, for example --web.listen-address."""
    return "--" + ".".join(path).replace("config_file", "config.file").replace("_", "-")
