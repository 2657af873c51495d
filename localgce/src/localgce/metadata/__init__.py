"""The metadata server and guest attributes."""
