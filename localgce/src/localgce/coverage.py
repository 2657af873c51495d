"""`python -m localgce.coverage`: which methods of the API are implemented, from the code itself."""

from __future__ import annotations

from localgce.http.discovery import Discovery
from localgce.http.handlers import RESOURCES, handler


def table() -> str:
    """A Markdown table of the resources that are there, with their methods."""
    methods = Discovery.load().methods
    lines = ["| resource | methods | of the API's |", "| --- | --- | --- |"]
    for resource in sorted(RESOURCES):
        own = sorted(name for name in methods if name.split(".")[1] == resource)
        there = [name.split(".")[2] for name in own if handler(name) is not None]
        lines.append(f"| {resource} | {', '.join(there)} | {len(there)} of {len(own)} |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    print(table(), end="")
