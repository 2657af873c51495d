"""Managed instance groups: commands, decisions, actions on members."""
