"""The transport: routing, validation of requests, lists, batches. It knows no resource."""
