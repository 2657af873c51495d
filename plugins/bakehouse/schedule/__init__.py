"""Timetables and assets."""
