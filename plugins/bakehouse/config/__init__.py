"""Reads all files of a project; writes the JSON schemas."""
