"""A Compute Engine v1-compatible server for one machine."""
