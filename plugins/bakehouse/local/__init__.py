"""The inner loop: a recipe of the work tree built, tested and run on this computer.

A build runs the operators of the bake's DAG in their order, in one process and without Airflow's
scheduler and database (docs/decisions/0076). localgce is reached over HTTP, as everywhere.
"""
