"""The base of all triggers, whose events are models."""
