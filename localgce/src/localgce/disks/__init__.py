"""Disks: creation, attachment, deletion."""
