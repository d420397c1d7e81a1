"""Alerts about the exporters themselves."""

from __future__ import annotations

from exporter.rules.alert import Alert, counted

JOB = "{{ $labels.job }}"

EXPORTER_ALERTS = (
    Alert(
        "TogetherExporterDown",
        "critical",
        "5m",
        "(\n"
        "  group by (<keep>) (last_over_time(together_exporter_build_info[<exporter_memory>]))\n"
        "  unless on (<keep>) group by (<keep>) (together_exporter_build_info)\n"
        ")\nor on () absent(together_exporter_build_info)",
        "No together-exporter is scraped.",
        "No together-exporter scraped for <for>. Nothing is known of its deployments.",
        by="<keep>",
    ),
    Alert(
        "TogetherExporterInstanceDown",
        "warning",
        "5m",
        "min by (<exporter>, instance) (up) == 0\n"
        "and on (<exporter>, instance) last_over_time(together_exporter_build_info[<exporter_memory>])",
        "A together-exporter cannot be scraped.",
        f"{JOB}: {{{{ $labels.instance }}}} not scraped for <for>.",
        by="<exporter>, instance",
    ),
    Alert(
        "TogetherShardMissing",
        "critical",
        "5m",
        "together:shards_missing",
        "A shard is missing. Nothing is known of its deployments.",
        f"{JOB}: {counted('shard')} missing for <for>.",
        by="<exporter>",
    ),
    Alert(
        "TogetherConfigReloadFailed",
        "warning",
        "5m",
        "min by (<exporter>) (together_exporter_config_last_reload_successful) == 0",
        "A together-exporter refused its new configuration.",
        f"{JOB}: configuration reload failing for <for>; the previous configuration is in use.",
        by="<exporter>",
    ),
)
