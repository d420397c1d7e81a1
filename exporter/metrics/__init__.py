"""From records to the text that Prometheus reads."""
