"""The check of a set-up before the first bake, of `bakehouse doctor` and the DAG check_setup."""
