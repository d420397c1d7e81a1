"""Every number that a rule compares with and every window that it looks back over, in one place."""

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

    memory: Duration = Field(1 * HOUR, description="How long a critical alert keeps firing while nothing is known.")
    exporter_memory: Duration = Field(1 * DAY, description="How long an exporter that is gone is missed.")
    cold_start: Duration = Field(
        10 * MINUTE, description="How long a deployment may take from zero to its first ready replica."
    )
    reason_window: Duration = Field(
        5 * MINUTE, description="A replica's reason counts this long; shorter than the alerts' `for`."
    )
    out_of_memory_window: Duration = Field(
        10 * MINUTE, description="The same for out of memory, which a replica reports for moments only."
    )
    flapping_window: Duration = Field(1 * HOUR, description="The window in which changes of status are counted.")
    flapping_changes: Positive = Field(12, description="More changes of status than this are flapping.")
    readiness_lost_window: Duration = Field(30 * MINUTE, description="The window in which lost readiness is counted.")
    readiness_lost_per_replica: Positive = Field(
        2, description="More losses of readiness for each desired replica than this are too many."
    )
    preload_seconds: Positive = Field(1800, description="A volume preload that takes longer is slow.")
    secret_expires_seconds: Positive = Field(604_800, description="A secret that expires sooner is reported.")
    data_stale_seconds: Positive = Field(
        900, description="Data older than this is stale; longer than the longest `poll_interval`."
    )
    rate_limited_window: Duration = Field(5 * MINUTE, description="The window of the share of requests answered 429.")
    rate_limited_ratio: Ratio = Field(0.05, description="A larger share of requests answered 429 is too much.")
    unserved_after: Duration = Field(
        15 * MINUTE, description="Unavailability counts from this long after the wake-up from zero."
    )
    availability_target: Ratio = Field(
        0.99, description="Share of the time in which a deployment is to have a ready replica."
    )
    burn_fast_factor: Positive = Field(14.4, description="Burn rate of the error budget that is critical.")
    burn_fast_window: Duration = Field(1 * HOUR, description="The long window of the critical burn rate.")
    burn_fast_short_window: Duration = Field(5 * MINUTE, description="Its short window: has it ended?")
    burn_slow_factor: Positive = Field(6, description="Burn rate of the error budget that is a warning.")
    burn_slow_window: Duration = Field(6 * HOUR, description="The long window of the lower burn rate.")
    burn_slow_short_window: Duration = Field(30 * MINUTE, description="Its short window: has it ended?")

    def written(self) -> dict[str, str]:
        """As in PromQL: 5m, 14.4."""
        return {
            name: show(getattr(self, name)) if name in DURATIONS else f"{getattr(self, name):.15g}"
            for name in type(self).model_fields
        }


DURATIONS = frozenset(
    name for name, schema in Thresholds.model_json_schema()["properties"].items() if schema["type"] == "string"
)
