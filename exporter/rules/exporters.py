"""Alerts about the exporters themselves."""

from __future__ import annotations

from exporter.rules.alert import PROJECT, READABLE, Alert, pluralize

JOB, INSTANCE = "{{ $labels.job }}", "{{ $labels.instance }}"
IN_CLUSTER = "{{ with $labels.cluster }} in cluster {{ . }}{{ end }}"
EXPORTED = "last_over_time(together:project_exported_timestamp_seconds[<exporter_memory>])"
BY_JOB = f"max by (<exporter>, project) ({EXPORTED})"
CONFIGURED = "together_exporter_config_last_reload_success_timestamp_seconds"
INSTANCE_DOWN = "TogetherExporterInstanceDown"
IS_DOWN = f'ALERTS{{alertname="{INSTANCE_DOWN}", alertstate="firing"}}'

EXPORTER_ALERTS = (
    Alert(
        "TogetherExporterDown",
        "critical",
        "5m",
        "(\n"
        "  group by (<keep>) (last_over_time(together_exporter_build_info[<exporter_memory>]))\n"
        f"  or group by (<keep>) ({IS_DOWN})\n"
        ")\nunless on (<keep>) group by (<keep>) (together_exporter_build_info)\n"
        "or on () absent(together_exporter_build_info)",
        "No together-exporter is being scraped.",
        f"No together-exporter scraped{IN_CLUSTER} for <for>. Its deployments are not monitored.",
        by="<keep>",
    ),
    Alert(
        INSTANCE_DOWN,
        "warning",
        "5m",
        "min by (<exporter>, instance) (up) == 0\n"
        "and on (<exporter>, instance) (\n"
        "  last_over_time(together_exporter_build_info[<exporter_memory>])\n"
        f"  or {IS_DOWN}\n"
        # Never scraped yet: by its job, unless the job has targets of other kinds.
        "  or up and on (<exporter>) last_over_time(together_exporter_build_info[<exporter_memory>])\n"
        "    unless on (<exporter>) (up == 1 unless on (<exporter>, instance) together_exporter_build_info)\n"
        ")",
        "A together-exporter instance cannot be scraped.",
        f"{JOB}: {INSTANCE} not scraped for <for>.",
        by="<exporter>, instance",
    ),
    Alert(
        "TogetherExporterPollsFailing",
        "warning",
        "10m",
        "min by (<exporter>, instance, project) (together_project_poll_success) == 0\n"
        f"and on (<project>) {READABLE} == 1",
        "One together-exporter cannot poll a project that another one can.",
        f"{PROJECT}: polls by {INSTANCE} failing for <for>, while other exporters can poll the project.",
        by="<exporter>, instance, project",
    ),
    Alert(
        "TogetherProjectNotExported",
        "critical",
        "10m",
        "group by (<project>) (\n"
        f"  {BY_JOB}\n"
        # Removed from the configuration: the job has a newer one without the project.
        "  unless on (<exporter>, project) (\n"
        f"    {BY_JOB} - <overlap_seconds> < on (<exporter>) group_left () max by (<exporter>) ({CONFIGURED})\n"
        "  )\n"
        # Whatever the job has: its own instance is down, and had not removed it.
        f"  or {EXPORTED}\n"
        "  and on (<exporter>, instance) up == 0\n"
        "  unless on (<exporter>, instance, project) (\n"
        f"    {EXPORTED} - <overlap_seconds> < on (<exporter>, instance) group_left ()\n"
        f"    max by (<exporter>, instance) (last_over_time({CONFIGURED}[<exporter_memory>]))\n"
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
