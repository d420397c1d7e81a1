"""Exporters as the contract has them, without the exporter: every metric that dashboards and recipes ask for.

Identical ones show the same deployments, shards different ones. Counters grow with the time since the start."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Self

STATUSES = ("Updating", "Scaling", "Ready", "Failed", "ScaledToZero")
CYCLE = 20.0  # s; a deployment is Ready, then Updating, then Failed


class Exporter:
    """Shows these deployments of the project `p`; `shard`: (index, total)."""

    def __init__(self, deployments: Sequence[str], shard: tuple[int, int] = (0, 1)) -> None:
        self._deployments, self._shard = deployments, shard
        self._began = time.time()

    def __enter__(self) -> Self:
        exporter = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                body = ("\n".join(exporter.lines()) + "\n").encode()
                self.send_response(200)
                self.send_header("Content-Type", "text/plain; version=0.0.4")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.address = f"127.0.0.1:{self._server.server_address[1]}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,))
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def lines(self) -> Iterator[str]:
        now, age = time.time(), time.time() - self._began
        for name in self._deployments:
            yield from _deployment(name, now, age)
        yield from _project(now, age)
        yield from _exporter(self._shard, now, age)


def _deployment(name: str, now: float, age: float) -> Iterator[str]:
    phase = int(3 * (age % CYCLE) / CYCLE) if name == "embed" else 0
    status = ("Ready", "Updating", "Failed")[phase]
    fails = status == "Failed"
    d = f'project="p",deployment="{name}"'
    ready, desired, most = (0, 2, 3) if fails else (2, 2, 2)
    for kind, count in (("ready", ready), ("desired", desired), ("min", 1), ("max", most), ("updated", ready)):
        yield f"together_deployment_replicas_{kind}{{{d}}} {count}"
    for each in STATUSES:
        yield f'together_deployment_status{{{d},status="{each}"}} {int(each == status)}'
        yield f'together_deployment_status_changes_total{{{d},status="{each}"}} {int(age / CYCLE)}'
    for each in ("Running", "Waiting", "Terminated"):
        count = desired if each == ("Waiting" if fails else "Running") else 0
        yield f'together_deployment_replicas{{{d},status="{each}"}} {count}'
    if fails:
        yield f'together_deployment_replicas_with_reason{{{d},reason="CrashLoopBackOff",class="crash"}} 2'
    for each in ("crash", "memory"):
        yield f'together_deployment_replicas_ended_total{{{d},class="{each}"}} {int(age)}'
    yield f"together_deployment_memory_bytes{{{d}}} 6e10"
    yield f'together_deployment_volume_info{{{d},volume="v",mount_path="/m",version="1"}} 1'
    info = 'image="i",gpu_type="h100-80gb",capacity_type="stable"'
    yield f'together_deployment_info{{{d},id="id-{name}",{info},revision="{int(age / CYCLE)}"}} 1'
    yield f'together_deployment_labels{{{d},label_team="search"}} 1'
    yield f'together_deployment_gpus_per_replica{{{d},gpu_type="h100-80gb"}} 2'
    yield f'together_deployment_queue_info{{{d},queue="q"}} 1'
    yield f'together_deployment_autoscaling_target{{{d},metric="QueueBacklogPerWorker",custom_metric=""}} 1.05'
    yield f'together_deployment_secret_expiry_timestamp_seconds{{{d},variable="A",secret="s"}} {now + 864_000}'
    yield f"together_deployment_created_timestamp_seconds{{{d}}} {now - 86_400}"
    yield f"together_deployment_updated_timestamp_seconds{{{d}}} {now - age % CYCLE}"
    yield f"together_deployment_poll_success{{{d}}} {int(not fails)}"
    yield f"together_deployment_last_success_timestamp_seconds{{{d}}} {now - 1}"
    if fails:
        yield f'together_deployment_poll_error{{{d},reason="timeout"}} 1'
    yield f"together_deployment_readiness_lost_total{{{d}}} {int(age / CYCLE)}"
    yield f"together_deployment_replica_startup_seconds_sum{{{d}}} {int(age) * 40}"
    yield f"together_deployment_replica_startup_seconds_count{{{d}}} {int(age)}"
    yield from _replica(f'{d},replica="{name}-1"', "Waiting" if fails else "Running", now)


def _replica(r: str, status: str, now: float) -> Iterator[str]:
    for each in ("Running", "Waiting", "Terminated"):
        yield f'together_replica_status{{{r},status="{each}"}} {int(each == status)}'
    if status == "Waiting":
        yield f'together_replica_status_reason{{{r},reason="CrashLoopBackOff"}} 1'
    yield f"together_replica_ready{{{r}}} {int(status == 'Running')}"
    yield f"together_replica_ready_timestamp_seconds{{{r}}} {now - 60}"
    yield f'together_replica_info{{{r},image="i",revision="1"}} 1'
    for each, holds in (("Completed", status == "Running"), ("Failed", status == "Waiting")):
        yield f'together_replica_volume_preload_status{{{r},status="{each}"}} {int(holds)}'
    yield f"together_replica_volume_preload_started_timestamp_seconds{{{r}}} {now - 90}"
    yield f"together_replica_volume_preload_completed_timestamp_seconds{{{r}}} {now - 60}"


def _project(now: float, age: float) -> Iterator[str]:
    for state, count in (("waiting", 5), ("running", 2)):
        yield f'together_queue_jobs{{project="p",queue="q",state="{state}"}} {count}'
    yield 'together_project_poll_success{project="p"} 1'
    yield 'together_project_poll_success{project="gone"} 0'
    yield 'together_project_poll_error{project="gone",reason="timeout"} 1'
    yield 'together_project_deployments{project="p"} 2'
    yield f'together_project_last_success_timestamp_seconds{{project="p"}} {now}'
    yield 'together_project_items_dropped{project="p",reason="replica_limit"} 1'
    yield 'together_gpu_hourly_cost{gpu_type="h100-80gb"} 2.5'
    for code in (200, 429):
        yield f'together_exporter_api_requests_total{{project="p",code="{code}"}} {int(age * 4)}'
    yield 'together_exporter_poll_interval_seconds{project="p"} 30'
    yield f'together_exporter_polls_total{{project="p",fetch="list"}} {int(age * 4)}'
    yield f'together_exporter_poll_failures_total{{project="p",fetch="list",reason="timeout"}} {int(age)}'
    for bound in ("0.1", "1", "+Inf"):
        yield f'together_exporter_poll_duration_seconds_bucket{{project="p",fetch="list",le="{bound}"}} {int(age * 4)}'


def _exporter(shard: tuple[int, int], now: float, age: float) -> Iterator[str]:
    yield 'together_exporter_build_info{version="1"} 1'
    yield f'together_exporter_shard_info{{index="{shard[0]}",total="{shard[1]}"}} 1'
    yield f"together_exporter_shards {shard[1]}"
    yield f"together_exporter_config_last_reload_successful {int(age % CYCLE < CYCLE / 2)}"
    yield f"together_exporter_config_last_reload_success_timestamp_seconds {now - age}"
    yield f"together_exporter_polls_missed_total {int(age)}"
    yield f'together_exporter_http_clients_refused_total{{reason="connections"}} {int(age)}'
    yield f"process_cpu_seconds_total {age / 10}"
    yield "process_resident_memory_bytes 1e8"
    yield "process_open_fds 20"
