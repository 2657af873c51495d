"""Startup scripts for real guests, and what they report."""

from __future__ import annotations

from typing import Any

import httpx

from .gce import ZONE, Gce

VMS = f"zones/{ZONE}/instances"
SLOW = 480  # seconds for a boot without KVM beside other work
METADATA = "http://169.254.169.254/computeMetadata/v1/instance"
ASK = f"ask() {{ curl -sf -H 'Metadata-Flavor: Google' {METADATA}/$1; }}"
TELL = (
    "tell() { curl -sf -X PUT -H 'Metadata-Flavor: Google' --data \"$2\" "
    f"{METADATA}/guest-attributes/t/$1; }}"
)


def script(*lines: str) -> dict[str, str]:
    """Metadata with a startup script that can `tell KEY VALUE` and `ask PATH`."""
    return {"enable-guest-attributes": "TRUE", "startup-script": program(*lines)}


def program(*lines: str) -> str:
    """A script with `tell` and `ask`."""
    return "\n".join(["#!/bin/bash", TELL, ASK, *lines, ""])


def said(gce: Gce, name: str, key: str) -> str | None:
    """The value that the guest has published with `tell`."""
    answer = gce.call("GET", f"{VMS}/{name}/getGuestAttributes", queryPath=f"t/{key}")
    return str(answer.json()["queryValue"]["items"][0]["value"]) if answer.is_success else None


def serial(gce: Gce, name: str) -> str:
    """What the guest's first serial port shows."""
    return str(gce.get(f"{VMS}/{name}/serialPort", port=1)["contents"])


def page(address: str) -> str | None:
    """The page that the guest serves; None while it does not."""
    try:
        return httpx.get(f"http://{address}:8080/", trust_env=False).text
    except httpx.TransportError:
        return None


def external(**more: Any) -> dict[str, Any]:
    """An instance's fields for an external address."""
    nic = {"network": "global/networks/default", "accessConfigs": [{"type": "ONE_TO_ONE_NAT"}]}
    return {"networkInterfaces": [nic], **more}
