"""What all resources share: places and types, links, numbers, limits, quotas."""
