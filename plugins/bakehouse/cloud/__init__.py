"""The calls to Compute Engine, their errors, the shared poller of triggers and its rate limiter."""
