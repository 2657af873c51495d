"""What the server knows and who waits for its changes."""
