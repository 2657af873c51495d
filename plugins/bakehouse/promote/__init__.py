"""Makes a tested candidate the newest image of its family, and publishes it."""
