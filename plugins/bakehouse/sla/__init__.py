"""Watches the SLAs of a run's tasks."""
