"""From HTTP to handlers and back: routes, checks, lists, batches."""
