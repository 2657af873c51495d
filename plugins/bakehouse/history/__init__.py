"""The history of images: events, the ledger, manifests and SBOMs."""
