"""Commits and files, straight from git's objects: a work tree is never read nor touched."""
