"""`python -m localgce.coverage`: the implemented methods, from the routing table."""

from __future__ import annotations

from localgce.api.routing import TABLE
from localgce.http.discovery import Discovery


def table() -> str:
    """A Markdown table of the implemented resources, with their methods."""
    methods = Discovery.load().methods
    lines = ["| resource | methods | of the API's |", "| --- | --- | --- |"]
    for resource in sorted({method_id.split(".")[1] for method_id in TABLE}):
        own = sorted(name for name in methods if name.split(".")[1] == resource)
        there = [name.split(".")[2] for name in own if name in TABLE]
        lines.append(f"| {resource} | {', '.join(there)} | {len(there)} of {len(own)} |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    print(table(), end="")
