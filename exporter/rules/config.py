"""User configuration of the rules."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Iterator
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from exporter import REPOSITORY
from exporter.rules.alert import Severity
from exporter.rules.groups import ALERTS
from exporter.rules.thresholds import Thresholds
from exporter.settings.durations import Duration, parse, show

RUNBOOKS = f"{REPOSITORY}/blob/main/docs/runbooks/"
# Windows that are shorter than the `for` of their alerts (a single sample must not alert), or longer than it.
FOR = {"reason_window": True, "out_of_memory_window": True, "rate_limited_window": True, "exporter_memory": False}
SHORTER = (
    ("burn_fast_short_window", "burn_fast_window"),
    ("burn_slow_short_window", "burn_slow_window"),
)
BURN_FACTORS = ("burn_fast_factor", "burn_slow_factor")
LABEL = "^[a-zA-Z_][a-zA-Z0-9_]*$"
LISTS = {
    "project": ("project",),
    "deployment": ("project", "deployment"),
    "queue": ("project", "queue"),
    "exporter": ("job",),
    "gpu_type": ("gpu_type",),
}  # the labels after the kept ones, by the placeholder's name
_OF_ALERTS = {name for alert in ALERTS.values() for name in re.findall("[a-z]+", re.sub("<[a-z]+>", "", alert.by))}
_OF_METRICS = {"class", "id", "index", "replica", "state", "total", "variable"}  # which expressions group by
IDENTITY = frozenset({*(name for labels in LISTS.values() for name in labels), *_OF_ALERTS, *_OF_METRICS})
RESERVED = IDENTITY | {"alertname", "alertstate", "severity"}


def unknown(name: str, candidates: Iterable[str], what: str) -> str:
    """Error message for an unknown name, with the closest candidate."""
    near = difflib.get_close_matches(name, list(candidates), n=1, cutoff=0.5)
    return f'"{name}" is not {what}; ' + (f"did you mean {near[0]}?" if near else "see together-exporter rules --list")


def _alert(name: str) -> str:
    if name not in ALERTS:
        raise ValueError(unknown(name, ALERTS, "an alert"))
    return name


def _label(name: str) -> str:
    if not re.match(LABEL, name):
        raise ValueError(f'"{name}" is not a label name; write letters, digits and underscores')
    return name


def _kept(name: str) -> str:
    if name in RESERVED:
        raise ValueError(f'"{name}" is part of the rules already; leave it out')
    return _label(name)


def _added(name: str) -> str:
    if name == "severity":
        raise ValueError("is set by --severity, or by severity in overrides")
    return _kept(name)


def _of_deployment(name: str) -> str:
    if name.startswith("label_"):
        raise ValueError(f'"{name}" is written without label_: {name.removeprefix("label_")}')
    return _label(name)


AlertName = Annotated[str, AfterValidator(_alert)]
LabelName = Annotated[str, AfterValidator(_label)]
KeptLabel = Annotated[str, AfterValidator(_kept)]
AddedLabel = Annotated[str, AfterValidator(_added)]
DeploymentLabel = Annotated[str, AfterValidator(_of_deployment)]


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Override(_Part):
    """Settings of one alert."""

    severity: Severity | None = None
    hold: Duration | None = Field(None, alias="for")
    labels: dict[AddedLabel, str] = Field({}, description="Labels added to the alert.")
    annotations: dict[LabelName, str] = Field({}, description="Annotations added to the alert.")


class RulesConfig(_Part):
    """Defaults: the rules as shipped."""

    keep_labels: tuple[KeptLabel, ...] = Field(
        ("cluster",), description="Target labels preserved in alerts in addition to their identity."
    )
    deployment_labels: tuple[DeploymentLabel, ...] = Field(
        (),
        description="Labels of `together_deployment_labels`, without `label_`, to add to alerts about deployments.",
    )
    thresholds: Thresholds = Thresholds()
    disabled: tuple[AlertName, ...] = Field((), description="Alerts to omit.")
    enabled: tuple[AlertName, ...] = Field((), description="Alerts to include that are off by default.")
    overrides: dict[AlertName, Override] = Field(
        {}, description="Severity, `for`, labels and annotations of one alert."
    )
    labels: dict[AddedLabel, str] = Field({}, description="Labels added to every alert.")
    annotations: dict[LabelName, str] = Field({}, description="Annotations added to every alert.")
    runbook_url: str = Field(RUNBOOKS, description="URL prefix of the runbooks; the alert name and .md are appended.")


def conflicts(config: RulesConfig) -> Iterator[tuple[tuple[str, ...], str]]:
    """Keys that do not fit others, with the reason."""
    for name, text in (*_of_thresholds(config.thresholds), *_of_holds(config)):
        yield ("thresholds", name), text
    own = {f"label_{label}" for label in config.deployment_labels}
    added: dict[tuple[str, ...], dict[str, str]] = {("labels",): config.labels}
    added |= {("overrides", alert, "labels"): override.labels for alert, override in config.overrides.items()}
    for path, labels in added.items():
        for label in labels.keys() & {*config.keep_labels, *own}:
            yield (*path, label), "is a label of the alert itself; remove it, or do not keep it"
    for label in own.intersection(config.keep_labels):
        yield ("keep_labels",), f"{label} is joined by deployment_labels; remove one of the two"


def _of_thresholds(thresholds: Thresholds) -> Iterator[tuple[str, str]]:
    for name, longer in SHORTER:
        if getattr(thresholds, name) >= getattr(thresholds, longer):
            yield name, f"must be shorter than {longer}, which is {show(getattr(thresholds, longer))}"
    for name in BURN_FACTORS:
        if getattr(thresholds, name) * (1 - thresholds.availability_target) > 1 - 1e-9:
            yield name, "times 1 - availability_target must be below 1; lower it"


def _of_holds(config: RulesConfig) -> Iterator[tuple[str, str]]:
    for (name, is_shorter), alert in ((each, alert) for each in FOR.items() for alert in ALERTS.values()):
        value, override = getattr(config.thresholds, name), config.overrides.get(alert.name)
        hold = override.hold if override and override.hold else parse(alert.hold)
        is_used = f"[<{name}>]" in alert.expr and alert.name not in config.disabled
        if is_used and (value >= hold if is_shorter else value <= hold):
            word = "shorter" if is_shorter else "longer"
            yield name, f"must be {word} than the `for` of {alert.name}, which is {show(hold)}"


def known_keys() -> dict[tuple[str, ...], tuple[str, ...]]:
    """The keys of each section, for suggestions."""
    override = tuple(field.alias or name for name, field in Override.model_fields.items())
    return {
        (): tuple(RulesConfig.model_fields),
        ("thresholds",): tuple(Thresholds.model_fields),
        **{("overrides", alert): override for alert in ALERTS},
    }
