"""`python -m localgce`."""

from localgce.cli import app

app()
