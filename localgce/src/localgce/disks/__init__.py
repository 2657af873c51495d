"""Disks: from a body to content, taken and let go."""
