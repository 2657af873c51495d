"""Instant machines: a guest program in the server instead of a process."""
