"""Prometheus exporter for Together AI container deployments."""

__version__ = "0.1.0"
