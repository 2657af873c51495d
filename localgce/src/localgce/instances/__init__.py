"""Instances: creation, changes, states, addresses, machine images."""
