"""Prometheus exporter for Together AI container deployments."""

__version__ = "0.1.0"
REPOSITORY = "https://github.com/together-exporter/together-exporter"
DOCUMENTATION = f"{REPOSITORY}/blob/main/docs/README.md"
