"""Images and snapshots: creation, lookup by family, and the public images."""
