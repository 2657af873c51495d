"""Instances: from a body to a machine, through its life to its end."""
