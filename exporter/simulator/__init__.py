"""A simulator of the Together API with a simulated fleet. Shares no code with the exporter."""
