"""Airflow and localgce on one machine, for the demo and the tests."""
