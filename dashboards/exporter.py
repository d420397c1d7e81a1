"""Exporter: whether it sees what it should, and what it costs."""

from __future__ import annotations

from grafana_foundation_sdk.builders import dashboard, heatmap
from grafana_foundation_sdk.models.prometheus import PromQueryFormat

from dashboards.parts import EXPORTER, GREEN, OLD, PLAIN, RED, cluster, dress, graph, new, number, query, rows, variable

JOB = 'cluster=~"$cluster",job=~"$job"'
THIS = f'{JOB},instance=~"$instance"'
SHARDS = f"max by (cluster, job) (together_exporter_shards{{{JOB}}})"
SHARDS_THERE = f"count by (cluster, job) (count by (cluster, job, index) (together_exporter_shard_info{{{JOB}}}))"
EACH, REASON = "cluster, job, instance", "{{project}} {{reason}}"
BUILD = "together_exporter_build_info"
LAST = f"together_deployment_last_success_timestamp_seconds{{{THIS}}}"


def rate(metric: str, by: str, matching: str = THIS) -> str:
    return f"sum by ({by}) (rate({metric}{{{matching}}}[$__rate_interval]))"


def durations() -> heatmap.Panel:
    panel = dress(heatmap.Panel(), "Poll duration", "How long polls took, retries included.", 12, 8)
    buckets = rate("together_exporter_poll_duration_seconds_bucket", "le")
    target = query(buckets, "{{le}}").format(PromQueryFormat.HEATMAP)
    return panel.calculate(False).unit("s").with_target(target)


def board() -> dashboard.Dashboard:
    return (
        new("Together AI / Exporter", EXPORTER, "The exporter itself: polls, age of the data, its costs.")
        .with_variable(cluster(BUILD))
        .with_variable(variable("job", "Job", f'label_values({BUILD}{{cluster=~"$cluster"}}, job)'))
        .with_variable(variable("instance", "Instance", f"label_values({BUILD}{{{JOB}}}, instance)"))
        .with_panel(
            number(
                "Exporters", "Exporters that are scraped.", f"count({BUILD}{{{THIS}}})", steps=((None, RED), (1, GREEN))
            )
        )
        .with_panel(
            number(
                "Shards missing",
                "Shards that should be there and are not.",
                f"sum({SHARDS} - {SHARDS_THERE})",
            )
        )
        .with_panel(
            number(
                "Configuration",
                "1 where what runs is what was last asked for.",
                f"min(together_exporter_config_last_reload_successful{{{THIS}}})",
                steps=((None, RED), (1, GREEN)),
            )
        )
        .with_panel(
            number(
                "Oldest data",
                "Age of the oldest state of a deployment.",
                f"max(time() - {LAST})",
                unit="s",
                steps=OLD,
            )
        )
        .with_panel(
            number(
                "Memory",
                "Resident memory of the largest.",
                f"max(process_resident_memory_bytes{{{THIS}}})",
                unit="bytes",
                steps=PLAIN,
            )
        )
        .with_panel(
            number(
                "Series per scrape",
                "Samples that Prometheus takes from the largest at each scrape.",
                f"max(scrape_samples_scraped{{{THIS}}})",
                steps=PLAIN,
            )
        )
        .with_panel(
            graph(
                "Polls by result",
                "Polls that worked, and those that failed, by reason.",
                {
                    "ok": f"sum(rate(together_exporter_polls_total{{{THIS}}}[$__rate_interval]))\n"
                    f"- sum(rate(together_exporter_poll_failures_total{{{THIS}}}[$__rate_interval]))",
                    "{{reason}}": rate("together_exporter_poll_failures_total", "reason") + " > 0",
                },
                unit="ops",
                stacked=True,
            )
        )
        .with_panel(durations())
        .with_panel(
            graph(
                "Age of the data",
                "Time since the last good poll of the project's oldest deployment.",
                {"{{project}}": f"max by (cluster, project) (\n  time() - {LAST}\n)"},
                unit="s",
            )
        )
        .with_panel(
            graph(
                "API requests",
                "Requests to the API by status code, retries included; error got no answer.",
                {
                    "{{project}} {{code}}": rate("together_exporter_api_requests_total", "cluster, project, code")
                    + " > 0"
                },
                unit="reqps",
                stacked=True,
            )
        )
        .with_panel(
            graph(
                "Missed polls",
                "Polls that did not run in time.",
                {"{{instance}}": rate("together_exporter_polls_missed_total", "instance")},
                unit="ops",
            )
        )
        .with_panel(
            graph(
                "Items left out",
                "What the last polls brought and /metrics leaves out, by reason.",
                {REASON: f"max by (cluster, project, reason) (together_project_items_dropped{{{THIS}}})"},
            )
        )
        .with_panel(
            graph(
                "Projects that cannot be read",
                "1 while the last poll of a project failed for the reason.",
                {REASON: f"max by (cluster, project, reason) (together_project_poll_error{{{THIS}}})"},
            )
        )
        .with_panel(
            graph(
                "Clients refused",
                "Requests and connections to the exporter that were refused, by reason.",
                {"{{reason}}": rate("together_exporter_http_clients_refused_total", "reason")},
                unit="ops",
            )
        )
        .with_panel(
            graph(
                "Scrape time",
                "How long Prometheus' scrapes of it take.",
                {"{{instance}}": f"scrape_duration_seconds{{{THIS}}}"},
                unit="s",
            )
        )
        .with_panel(
            graph(
                "Memory", "Resident memory.", {"{{instance}}": f"process_resident_memory_bytes{{{THIS}}}"}, unit="bytes"
            )
        )
        .with_panel(
            graph(
                "Processor time",
                "Seconds of processor time a second.",
                {"{{instance}}": rate("process_cpu_seconds_total", "instance")},
                unit="percentunit",
            )
        )
        .with_panel(
            graph("Open files", "Files and connections that are open.", {"{{instance}}": f"process_open_fds{{{THIS}}}"})
        )
        .with_panel(
            rows(
                "Exporters",
                "Version, shard, and how long ago the configuration was loaded.",
                {
                    "version is": f"max by ({EACH}, version) ({BUILD}{{{THIS}}})",
                    "shard is": f"max by ({EACH}, index, total) (together_exporter_shard_info{{{THIS}}})",
                    "configuration loaded": f"time() - max by ({EACH}) "
                    f"(together_exporter_config_last_reload_success_timestamp_seconds{{{THIS}}})",
                },
                units={"configuration loaded": "s"},
                hidden=("version is", "shard is"),
                height=6,
            )
        )
    )
