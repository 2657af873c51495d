"""Decides which images are deprecated, made obsolete and deleted, and what still refers to them."""
