"""A typical Python exporter for comparison: gauges in a registry behind prometheus_client's ASGI application.

`python -m benchmarks.asgi PAGE` serves the series of that page; prints its address."""

from __future__ import annotations

import socket
import sys
from pathlib import Path

import uvicorn
from prometheus_client import CollectorRegistry, Gauge, make_asgi_app
from prometheus_client.parser import text_string_to_metric_families


def registry_of(page: str) -> CollectorRegistry:
    """The page's samples, each family as gauges; histograms and summaries sample by sample."""
    registry = CollectorRegistry()
    gauges: dict[str, Gauge] = {}
    for family in text_string_to_metric_families(page):
        for sample in family.samples:
            names = sorted(sample.labels)
            if sample.name not in gauges:
                gauges[sample.name] = Gauge(sample.name, family.documentation, names, registry=registry)
            gauge = gauges[sample.name].labels(**sample.labels) if names else gauges[sample.name]
            gauge.set(sample.value)
    return registry


def main() -> None:
    app = make_asgi_app(registry_of(Path(sys.argv[1]).read_text(encoding="utf-8")))
    sock = socket.create_server(("127.0.0.1", 0))
    print(f"127.0.0.1:{sock.getsockname()[1]}", flush=True)
    config = uvicorn.Config(app, loop="uvloop", http="httptools", lifespan="off", access_log=False, log_config=None)
    uvicorn.Server(config).run(sockets=[sock])


if __name__ == "__main__":
    main()
