"""The asset of promoted images, which fleets and child recipes are scheduled on."""

from __future__ import annotations

from airflow.sdk import Asset


def image_asset(recipe: str) -> Asset:
    """Return the asset of a recipe; each promoted image is a partition of its name."""
    return Asset(name=f"image/{recipe}", uri=f"x-bakehouse://images/{recipe}")
