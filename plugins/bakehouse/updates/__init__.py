"""Finds newer versions of an image's packages in the archives of its apt sources."""
