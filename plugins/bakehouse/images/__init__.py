"""The domain of images: labels, kinds, selection, revocation and provenance. Pure."""
