"""Every setting, its type and its default."""

from __future__ import annotations

import json
import re
from typing import Annotated, Any, Literal, Self

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
MAX_COUNT = 1_000_000  # of anything that is counted; what is above it is a slip of the hand
PATH = re.compile(r"((?!\.{1,2}(/|$))[\w.~-]+(/(?!\.{1,2}(/|$))[\w.~-]+)*)?", re.ASCII)  # what needs no escapes
RESERVED_PATHS = frozenset({"/", "/-/healthy", "/-/ready", "/-/reload", "/api/v1/status", "/api/v1/sd"})


def _pattern(text: str) -> str:
    compiled(text)
    return text


Pattern = Annotated[str, AfterValidator(_pattern), WithJsonSchema({"type": "string", "format": "regex"})]


def _poll_interval(text: object) -> float:
    seconds = parse(text)
    if seconds < MIN_POLL_INTERVAL:
        raise ValueError("is too often for any API; write 100ms or more")
    return seconds


def _deployment_name(name: str) -> str:
    if name.strip() in {"", ".", ".."}:
        raise ValueError("is not a deployment's name or ID")
    return name


def _telemetry_path(path: str) -> str:
    if not path.startswith("/") or not PATH.fullmatch(path[1:]) or path in RESERVED_PATHS:
        raise ValueError("must be a path such as /metrics, and none of the exporter's other paths")
    return path


def _route_prefix(prefix: str) -> str:
    """With a slash at its start and none at its end; "" for no prefix."""
    path = prefix.strip("/")
    if not PATH.fullmatch(path):
        raise ValueError('must be a path of letters, digits and any of "-_.~/", such as /together')
    return f"/{path}" if path else ""


def _listen_address(text: str) -> str:
    parse_address(text)
    return text.strip()


def _one_or_more(value: object) -> object:
    """Text is one address, or a JSON list of them as a variable holds it; `[::1]:10170` is no JSON."""
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
            raise ValueError(f'has "{address}" more than once; keep one')
    return addresses


def _text_in_quotes(value: object) -> object:
    """What YAML reads as something else, such as 12345, no or 12:30, would not be the name that was written."""
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
    """One deployment to poll; a plain string in the file is its name."""

    model_config = ConfigDict(json_schema_extra=_or_a_name)

    name: Annotated[str, AfterValidator(_deployment_name)] = Field(description="The deployment's name or ID.")
    poll_interval: PollInterval | None = Field(
        None, description="How often to poll this deployment; the project's by default."
    )
    labels: LabelMap = Field(default_factory=dict, description="Your own labels of this deployment.")

    @model_validator(mode="before")
    @classmethod
    def _plain_name(cls, data: Any) -> Any:
        return data if isinstance(data, dict) else {"name": _text_in_quotes(data)}


class LabelRuleSettings(_Section):
    """Labels for the deployments whose name matches."""

    match: Pattern = Field(description="The regular expression that the whole name must match.")
    labels: LabelMap = Field(description="The labels that matching deployments get.")


class ProjectSettings(_Section):
    """One Together project: what one API key sees."""

    name: Name = Field("default", description="The label `project`.")
    api_key_file: Name | None = Field(None, description="A file that holds the key; read again when it changes.")
    api_key_env: Name | None = Field(None, description="The environment variable that holds the key.")
    api_key: SecretStr | None = Field(None, description="The key itself; discouraged, files get copied.")
    base_url: str | None = Field(
        None, description=f"Where the API is; TOGETHER_BASE_URL or {DEFAULT_BASE_URL} by default."
    )
    ca_file: Name | None = Field(
        None,
        description="A PEM file with the certificate authority of base_url; SSL_CERT_FILE or the system's by default.",
    )
    fetch: Literal["each", "list"] | None = Field(
        None,
        description="each: one request a deployment; list: one for the whole project. By default each where "
        "`deployments` is given, else list.",
    )
    deployments: tuple[DeploymentSettings, ...] | None = Field(
        None, description="The deployments to poll, by name or ID; absent: all that the key sees."
    )
    include: tuple[Pattern, ...] = Field(
        (), min_length=1, description="Export only discovered deployments whose whole name matches one of these."
    )
    exclude: tuple[Pattern, ...] = Field(
        (), description="Do not export discovered deployments whose whole name matches one of these."
    )
    labels: LabelMap = Field(
        default_factory=dict,
        description="Your own labels of all deployments, exported by `together_deployment_labels` as `label_*`.",
    )
    label_rules: tuple[LabelRuleSettings, ...] = Field(
        (), description="Labels for deployments whose name matches; of several matching rules, the last one wins."
    )
    label_variables: Annotated[tuple[Name, ...], AfterValidator(_label_variables)] = Field(
        (), description="Environment variables of a deployment whose plain value becomes a label; never a secret's."
    )
    max_requests_per_second: float = Field(
        5.0, gt=0, le=1000, description="Never more than this to the API, retries included."
    )
    queue: bool = Field(False, description="Also read each queue that scales a deployment, once per poll.")
    queues: tuple[Name, ...] = Field((), description="Names of further queues to read.")
    revisions: bool = Field(
        False, description="Also read a deployment's newest revision when its revision has changed."
    )
    replica_metrics: bool | None = Field(None, description="Overrides the general one for this project.")
    poll_interval: PollInterval | None = Field(None, description="Overrides the general one for this project.")
    poll_timeout: Duration | None = Field(None, description="Overrides the general one for this project.")
    stale_after: Duration | None = Field(None, description="Overrides the general one for this project.")

    @model_validator(mode="after")
    def _one_key(self) -> Self:
        given = [name for name in ("api_key_file", "api_key_env", "api_key") if getattr(self, name) is not None]
        if len(given) > 1:
            raise ValueError(f"has {' and '.join(given)}; keep one")
        return self


class WebSettings(_Section):
    listen_address: ListenAddresses = Field(
        (":10170",), description="Host and port to listen on, or a list of them; no host means all addresses."
    )
    telemetry_path: Annotated[str, AfterValidator(_telemetry_path)] = Field(
        "/metrics", description="Where the metrics are."
    )
    route_prefix: Annotated[str, AfterValidator(_route_prefix)] = Field(
        "", description="A path that all others are below, such as /together, for a proxy that does not strip it."
    )
    config_file: Name | None = Field(
        None, description="TLS and basic auth, in the format of Prometheus' exporter-toolkit."
    )
    enable_lifecycle: bool = Field(False, description="Allow POST /-/reload.")
    max_connections: int = Field(
        512, ge=1, le=MAX_COUNT, description="Connections at a time; the longest idle one makes room."
    )
    max_requests: int = Field(40, ge=1, le=MAX_COUNT, description="Scrapes at a time; the next one is answered 503.")


class LogSettings(_Section):
    level: Literal["debug", "info", "warn", "error"] = Field("info", description="The least severe level to log.")
    format: Literal["logfmt", "json"] = Field("logfmt", description="The form of a log line.")


class ShardSettings(_Section):
    index: int = Field(0, ge=0, le=MAX_COUNT, description="Which shard this exporter is, from 0.")
    total: int = Field(1, ge=1, le=MAX_COUNT, description="How many shards share the deployments.")


class Settings(BaseSettings):
    """The whole configuration. Durations are seconds once read."""

    model_config = SettingsConfigDict(
        extra="forbid",
        frozen=True,
        env_prefix=ENV_PREFIX,
        env_nested_delimiter="__",
        validate_default=False,
        hide_input_in_errors=True,
    )

    poll_interval: PollInterval = Field(30.0, description="How often each deployment or project is polled.")
    poll_timeout: Duration = Field(10.0, description="One deadline over a whole poll: connect, retries, body.")
    stale_after: Duration | None = Field(
        None,
        description="How long the last known state is shown while polls fail; by default 5m, or 3 times the "
        "project's longest poll interval where that is longer.",
    )
    projects: tuple[ProjectSettings, ...] = Field(
        (ProjectSettings(),), min_length=1, description="The projects to poll; by default the one of TOGETHER_API_KEY."
    )
    replica_metrics: bool = Field(True, description="Per-replica series; false keeps only the counts per status.")
    max_replicas_per_deployment: int = Field(
        200, ge=0, le=MAX_COUNT, description="Replicas that get series of their own."
    )
    max_deployments_per_project: int = Field(
        10_000, ge=1, le=MAX_COUNT, description="Deployments of a project that are exported."
    )
    gpu_hourly_cost: dict[str, Annotated[float, Field(ge=0, allow_inf_nan=False)]] = Field(
        default_factory=dict, description="Your own prices of one GPU hour, by GPU type; none are built in."
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
    """The command line option of a setting, in the Prometheus habit: --web.listen-address."""
    return "--" + ".".join(path).replace("config_file", "config.file").replace("_", "-")
