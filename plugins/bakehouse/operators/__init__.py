"""The base of all operators, what `reconcile` returns, and the links of a task."""
