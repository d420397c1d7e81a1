"""Thresholds and windows of all rules."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from exporter.settings.durations import Duration, show

MINUTE, HOUR, DAY = 60.0, 3600.0, 86400.0  # s
Ratio = Annotated[float, Field(gt=0, lt=1)]
Positive = Annotated[float, Field(gt=0)]


class Thresholds(BaseModel):
    """Durations in seconds. An alert's `for` is part of the alert."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    memory: Duration = Field(
        1 * HOUR, description="How long a critical alert keeps firing while there is no current data."
    )
    exporter_memory: Duration = Field(
        1 * DAY, description="How long alerts fire for an exporter that no longer exists."
    )
    overlap_seconds: Positive = Field(
        600, description="Maximum time for which an exporter still runs after its replacement has started."
    )
    cold_start: Duration = Field(10 * MINUTE, description="Maximum time from zero to the first ready replica.")
    reason_window: Duration = Field(
        5 * MINUTE,
        description="Window in which a replica's reason counts; must be shorter than the `for` of the alerts.",
    )
    out_of_memory_window: Duration = Field(
        10 * MINUTE, description="The same for out of memory, which replicas report only briefly."
    )
    flapping_window: Duration = Field(1 * HOUR, description="Window of TogetherDeploymentFlapping.")
    flapping_changes: Positive = Field(12, description="Number of status changes above which a deployment is flapping.")
    readiness_lost_window: Duration = Field(30 * MINUTE, description="Window of TogetherDeploymentReadinessLost.")
    readiness_lost_per_replica: Positive = Field(
        2, description="Number of lost readiness events per desired replica above which the alert fires."
    )
    preload_seconds: Positive = Field(1800, description="Duration above which a volume preload is slow.")
    secret_expires_seconds: Positive = Field(
        604_800, description="Remaining lifetime of a secret below which the alert fires."
    )
    data_stale_seconds: Positive = Field(
        900, description="Age above which data is stale; must be longer than the longest `poll_interval`."
    )
    rate_limited_window: Duration = Field(5 * MINUTE, description="Window of TogetherRateLimited.")
    rate_limited_ratio: Ratio = Field(
        0.05, description="Ratio of requests answered with 429 above which the alert fires."
    )
    unserved_after: Duration = Field(
        15 * MINUTE, description="Time after scaling up from zero during which unavailability does not count."
    )
    availability_target: Ratio = Field(0.99, description="Target ratio of time with at least one ready replica.")
    burn_fast_factor: Positive = Field(
        14.4, description="Burn rate of the error budget above which TogetherDeploymentAvailabilityBurnFast fires."
    )
    burn_fast_window: Duration = Field(1 * HOUR, description="Long window of the fast burn rate.")
    burn_fast_short_window: Duration = Field(5 * MINUTE, description="Short window of the fast burn rate.")
    burn_slow_factor: Positive = Field(
        6, description="Burn rate of the error budget above which TogetherDeploymentAvailabilityBurnSlow fires."
    )
    burn_slow_window: Duration = Field(6 * HOUR, description="Long window of the slow burn rate.")
    burn_slow_short_window: Duration = Field(30 * MINUTE, description="Short window of the slow burn rate.")

    def written(self) -> dict[str, str]:
        """Formatted for PromQL: 5m, 14.4."""
        return {
            name: show(getattr(self, name)) if name in DURATIONS else f"{getattr(self, name):.15g}"
            for name in type(self).model_fields
        }


DURATIONS = frozenset(
    name for name, schema in Thresholds.model_json_schema()["properties"].items() if schema["type"] == "string"
)
