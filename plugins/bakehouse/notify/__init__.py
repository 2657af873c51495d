"""Notifications through Airflow's notifiers."""
