"""`python -m bakehouse.cli`."""

from bakehouse.cli import app

app()
