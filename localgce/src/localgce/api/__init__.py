"""The handlers of the API: one file per resource, one function per method."""
