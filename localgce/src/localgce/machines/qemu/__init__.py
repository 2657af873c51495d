"""Machines with a QEMU process each."""
