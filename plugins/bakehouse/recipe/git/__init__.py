"""Commits and files, read from git's objects: a work tree is neither read nor changed."""
