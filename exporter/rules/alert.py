"""The shape of an alert, and the pieces of PromQL that alerts share.

Rules are templates. `<deployment>` and the other names of `config.LISTS` are lists of labels that begin with the
kept ones, `<keep>` is the kept labels alone, `<own>` the deployments' own labels, `<minute>` and `<hour>` are the
intervals of the groups, every threshold is `<its_name>`, and in a description `<for>` is the
`for` of the alert in its long form. The Helm chart fills in the same templates."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

Severity = Literal["critical", "warning", "info"]
SEVERITIES: tuple[str, ...] = get_args(Severity)
DEPLOYMENT_ID = "{{ $labels.project }}/{{ $labels.deployment }}"
PROJECT = "{{ $labels.project }}"


def pluralize(noun: str) -> str:
    """The value of the alert with its noun: 1 replica, 2 replicas."""
    return f"{{{{ $value }}}} {noun}{{{{ if ne $value 1.0 }}}}s{{{{ end }}}}"


REPLICAS = pluralize("replica")


@dataclass(frozen=True, slots=True)
class Alert:
    """`by`: the labels that identify an alert. `last_value`: for alerts that keep firing without current data, the
    expression of the value to show. `hold`: Prometheus' `for`."""

    name: str
    severity: Severity
    hold: str
    expr: str
    summary: str
    description: str
    by: str = "<deployment>"
    last_value: str = ""
    enabled: bool = True

    @property
    def firing(self) -> str:
        return f'group by ({self.by}) (ALERTS{{alertname="{self.name}", alertstate="firing"}})'


@dataclass(frozen=True, slots=True)
class Record:
    name: str
    expr: str


NO_VALUE = "no value"  # as `last_value`: the description has no value


def indented(text: str) -> str:
    return "\n".join(f"  {line}" for line in text.splitlines())


def one(metric: str, *labels: str) -> str:
    """A gauge of deployments, deduplicated across exporters."""
    return f"max by ({', '.join(('<deployment>', *labels))}) ({metric})"


def last_known(metric: str) -> str:
    return one(f"last_over_time({metric}[<memory>])")


def is_status(matcher: str) -> str:
    """`matcher`: ="Failed"."""
    return one(f"together_deployment_status{{status{matcher}}}") + " == 1"


READY = "together:deployment_replicas_ready"
DESIRED = one("together_deployment_replicas_desired")
MIN, MAX = one("together_deployment_replicas_min"), one("together_deployment_replicas_max")
GPUS = one("together_deployment_gpus_per_replica")
RUNNING = one('together_deployment_replicas{status="Running"}')
LAST_SUCCESS = "together_deployment_last_success_timestamp_seconds"
READABLE = "max by (<project>) (together_project_poll_success)"
NOT_FOUND_ERROR = 'together_deployment_poll_error{reason="not_found"}'
NOT_FOUND = one(NOT_FOUND_ERROR) + " == 1"
RECREATED = (  # under the same name: a new ID
    "unless on (<deployment>) (\n"
    '  together_deployment_info{id!=""}\n'
    "  unless on (<deployment>, id) last_over_time(together_deployment_info[<memory>] offset <cold_start>)\n"
    ")"
)


def wanted_for(window: str) -> str:
    """Replicas have been desired for all of the window: it neither scales up from zero nor is new."""
    return (
        "and on (<deployment>) min by (<deployment>) "
        f"(min_over_time(together_deployment_replicas_desired[<{window}>])) > 0\n"
        "and on (<deployment>) "
        f"last_over_time(together_deployment_replicas_desired[<memory>] offset <{window}>)"
    )
