"""The metadata server, as a guest sees it."""
