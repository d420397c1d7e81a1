"""Polling: what is requested when, and how responses are processed."""
