"""Machines: one contract, two implementations."""
