"""Alerting and recording rules as data, and what a user may change about them."""
