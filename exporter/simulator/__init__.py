"""A fake Together API with a simulated fleet. It shares no code with the exporter that it tests."""
