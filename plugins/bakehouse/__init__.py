"""Immutable machine images from git, baked and rolled out by Apache Airflow."""

__version__ = "0.1.0"
