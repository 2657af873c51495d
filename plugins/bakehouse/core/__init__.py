"""Errors, reasons, base models and the table of tasks. Pure."""
