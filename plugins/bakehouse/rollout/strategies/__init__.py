"""The ways to replace a member."""
