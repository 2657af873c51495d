"""The resources of the project that belong to Bakehouse, read once for each decision."""
