"""The model of a fleet and its stages. Pure."""
