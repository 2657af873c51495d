"""localgce's own pages: faults on demand and the log of calls."""
