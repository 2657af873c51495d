"""Deletes what runs left behind, retires and revokes images, and shows drift."""
