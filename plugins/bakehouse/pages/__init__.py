"""The page "Bakehouse images" in Airflow's UI and its read-only JSON API."""
