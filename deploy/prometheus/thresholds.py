"""What you may want to change about the rules; then `make rules`."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace

from exporter import REPOSITORY

MINUTE, HOUR, DAY = 60.0, 3600.0, 86400.0  # s


@dataclass(frozen=True)
class Thresholds:
    """What you may want to change; durations in seconds. `*_for`: how long it must be so before somebody is told."""

    job: str = "together-exporter"  # of the scrape configuration
    runbooks: str = f"{REPOSITORY}/blob/main/docs/runbooks/"

    memory: float = 1 * HOUR  # for which what was wrong still counts as wrong while nothing is known
    failed_for: float = 2 * MINUTE
    no_ready_replica_for: float = 5 * MINUTE
    below_desired_for: float = 15 * MINUTE
    below_minimum_for: float = 10 * MINUTE
    rollout_for: float = 30 * MINUTE
    mixed_revisions_for: float = 30 * MINUTE
    crash_window: float = 10 * MINUTE  # a crashing replica runs for moments in between
    crash_for: float = 5 * MINUTE
    image_or_volume_for: float = 10 * MINUTE
    preload_failed_for: float = 5 * MINUTE
    preload_takes: float = 30 * MINUTE
    at_maximum_for: float = 2 * HOUR
    flapping_window: float = 1 * HOUR
    flapping_changes: int = 12  # of status in that window; autoscaling makes two each time
    scaled_to_zero_for: float = 5 * MINUTE
    idle_for: float = 1 * HOUR
    secret_expires_in: float = 7 * DAY
    not_found_for: float = 10 * MINUTE

    polls_failing_for: float = 10 * MINUTE
    key_refused_window: float = 10 * MINUTE
    key_refused_for: float = 2 * MINUTE
    rate_limited_window: float = 15 * MINUTE
    rate_limited_for: float = 15 * MINUTE
    stale_after: float = 15 * MINUTE  # must be longer than the longest poll_interval
    exporter_down_for: float = 5 * MINUTE
    shard_missing_for: float = 5 * MINUTE
    reload_failed_for: float = 5 * MINUTE
    dropped_window: float = 15 * MINUTE
    dropped_for: float = 15 * MINUTE
    unknown_status_for: float = 5 * MINUTE

    sum_window: float = 1 * HOUR  # of what is summed up by recording rules
    sum_step: float = 1 * MINUTE

    def faster(self, factor: float) -> Thresholds:
        """Everything that is a duration, so many times shorter: for tests and demonstrations."""
        durations = {f.name: getattr(self, f.name) / factor for f in fields(self) if f.type == "float"}
        return replace(self, **durations)


def duration(seconds: float) -> str:
    """As Prometheus writes it, in one unit."""
    for unit, size in (("d", DAY), ("h", HOUR), ("m", MINUTE), ("s", 1.0)):
        if seconds >= size and seconds % size == 0:
            return f"{seconds / size:.0f}{unit}"
    return f"{1000 * seconds:.0f}ms"
