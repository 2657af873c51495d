"""What happened to which image, and what is in it."""
