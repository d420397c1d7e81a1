"""Alerts about the exporters themselves."""

from __future__ import annotations

from exporter.rules.alert import PROJECT, Alert, pluralize

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
        "No together-exporter is being scraped.",
        "No together-exporter scraped for <for>. Its deployments are not monitored.",
        by="<keep>",
    ),
    Alert(
        "TogetherExporterInstanceDown",
        "warning",
        "5m",
        "min by (<exporter>, instance) (up) == 0\n"
        "and on (<exporter>, instance) last_over_time(together_exporter_build_info[<exporter_memory>])",
        "A together-exporter instance cannot be scraped.",
        f"{JOB}: {{{{ $labels.instance }}}} not scraped for <for>.",
        by="<exporter>, instance",
    ),
    Alert(
        "TogetherProjectNotExported",
        "critical",
        "10m",
        "group by (<project>) (\n"
        "  together:project_last_exported\n"
        # Removed from the configuration: the job has a newer one without the project.
        "  unless on (<exporter>, project) (\n"
        "    together:project_last_exported - <overlap_seconds>\n"
        "    < on (<exporter>) group_left ()\n"
        "    max by (<exporter>) (together_exporter_config_last_reload_success_timestamp_seconds)\n"
        "  )\n"
        ")\n"
        "unless on (<project>) group by (<project>) (together_project_poll_success)\n"
        "and on (<keep>) group by (<keep>) (together_exporter_build_info)",
        "Project is no longer exported.",
        f"{PROJECT}: its exporter is gone for <for>, and no other exports the project.",
        by="<project>",
    ),
    Alert(
        "TogetherShardMissing",
        "critical",
        "5m",
        "together:shards_missing",
        "Shards are missing. Their deployments are not monitored.",
        f"{JOB}: {pluralize('shard')} missing for <for>.",
        by="<exporter>",
    ),
    Alert(
        "TogetherConfigReloadFailed",
        "warning",
        "5m",
        "min by (<exporter>) (together_exporter_config_last_reload_successful) == 0",
        "Configuration reload failed.",
        f"{JOB}: configuration reload failing for <for>; the previous configuration is in use.",
        by="<exporter>",
    ),
)
