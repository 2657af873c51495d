"""Images, and the public one that is built here."""
