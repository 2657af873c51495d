"""What a promotion is published as; fleets and child recipes listen to it."""

from __future__ import annotations

from airflow.sdk import Asset


def image_asset(recipe: str) -> Asset:
    """The asset of a recipe's promoted images; each event is a partition of the image's name."""
    return Asset(name=f"image/{recipe}", uri=f"x-bakehouse://images/{recipe}")
