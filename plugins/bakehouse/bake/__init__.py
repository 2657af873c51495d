"""Builds an image: plan, builder VM, shutdown, candidate image, and the operators of each step."""
