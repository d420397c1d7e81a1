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
BRIEF_WINDOWS = ("reason_window", "out_of_memory_window", "rate_limited_window")  # a single sample must not alert
LABEL = "^[a-zA-Z_][a-zA-Z0-9_]*$"
LISTS = {
    "project": ("project",),
    "deployment": ("project", "deployment"),
    "queue": ("project", "queue"),
    "exporter": ("job",),
    "gpu_type": ("gpu_type",),
}  # the labels after the kept ones, by the placeholder's name
RESERVED = frozenset({"alertname", "severity", "instance", *(label for labels in LISTS.values() for label in labels)})


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


AlertName = Annotated[str, AfterValidator(_alert)]
LabelName = Annotated[str, AfterValidator(_label)]
KeptLabel = Annotated[str, AfterValidator(_kept)]


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Override(_Part):
    """Settings of one alert."""

    severity: Severity | None = None
    hold: Duration | None = Field(None, alias="for")
    labels: dict[LabelName, str] = Field({}, description="Labels added to the alert.")
    annotations: dict[LabelName, str] = Field({}, description="Annotations added to the alert.")


class RulesConfig(_Part):
    """Defaults: the rules as shipped."""

    keep_labels: tuple[KeptLabel, ...] = Field(
        ("cluster",), description="Target labels preserved in alerts in addition to their identity."
    )
    deployment_labels: tuple[LabelName, ...] = Field(
        (),
        description="Labels of `together_deployment_labels`, without `label_`, to add to alerts about deployments.",
    )
    thresholds: Thresholds = Thresholds()
    disabled: tuple[AlertName, ...] = Field((), description="Alerts to omit.")
    enabled: tuple[AlertName, ...] = Field((), description="Alerts to include that are off by default.")
    overrides: dict[AlertName, Override] = Field(
        {}, description="Severity, `for`, labels and annotations of one alert."
    )
    labels: dict[LabelName, str] = Field({}, description="Labels added to every alert.")
    annotations: dict[LabelName, str] = Field({}, description="Annotations added to every alert.")
    runbook_url: str = Field(RUNBOOKS, description="URL prefix of the runbooks; the alert name and .md are appended.")


def conflicts(config: RulesConfig) -> Iterator[tuple[str, str]]:
    """Thresholds that do not fit others, with the reason."""
    thresholds = config.thresholds
    for name, alert in ((name, alert) for name in BRIEF_WINDOWS for alert in ALERTS.values()):
        override = config.overrides.get(alert.name)
        hold = override.hold if override and override.hold else parse(alert.hold)
        is_used = f"[<{name}>]" in alert.expr and alert.name not in config.disabled
        if is_used and getattr(thresholds, name) >= hold:
            yield name, f"must be shorter than the `for` of {alert.name}, which is {show(hold)}"
    for name, longer in (
        ("burn_fast_short_window", "burn_fast_window"),
        ("burn_slow_short_window", "burn_slow_window"),
    ):
        if getattr(thresholds, name) >= getattr(thresholds, longer):
            yield name, f"must be shorter than {longer}, which is {show(getattr(thresholds, longer))}"


def known_keys() -> dict[tuple[str, ...], tuple[str, ...]]:
    """The keys of each section, for suggestions."""
    override = tuple(field.alias or name for name, field in Override.model_fields.items())
    return {
        (): tuple(RulesConfig.model_fields),
        ("thresholds",): tuple(Thresholds.model_fields),
        **{("overrides", alert): override for alert in ALERTS},
    }
