"""What stands behind instances: one contract, two kinds."""
