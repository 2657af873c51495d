"""Machines without a process: a guest program in the server."""
