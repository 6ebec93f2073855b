"""Turns a scenario into processes: the emulator, one Locust run per cell, limits, progress, the end."""
