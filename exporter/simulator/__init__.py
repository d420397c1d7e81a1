"""A fake Together API with a fleet that lives. It shares no code with the exporter that it tries out."""
