"""Alerting and recording rules as data, and their user configuration."""
