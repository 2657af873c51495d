"""Boots a VM from the candidate image and evaluates what its guest reports."""
