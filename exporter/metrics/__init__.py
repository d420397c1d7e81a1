"""Renders records in the formats that Prometheus reads."""
