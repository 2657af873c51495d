"""Managed instance groups: what is wanted, what is planned, what is done."""
