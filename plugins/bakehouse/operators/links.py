"""The links of a task to its VM or image."""

from __future__ import annotations

from typing import Any, ClassVar

from airflow.sdk import BaseOperatorLink


class _PageLink(BaseOperatorLink):
    """A link of the task's last try."""

    page: ClassVar[str]  # which of the task's pages

    def get_link(self, operator: Any, *, ti_key: Any) -> str:  # ruff: ignore[unused-method-argument]  Airflow passes it
        """Return the address; empty if there is none."""
        return str(getattr(operator, "pages", {}).get(self.page, ""))


class MachineLink(_PageLink):
    """The builder, the smoke VM, the fleet's member."""

    name = "Machine"
    page = "machine"


class SerialLink(_PageLink):
    """The serial output of that VM."""

    name = "Serial log"
    page = "serial"


class ImageLink(_PageLink):
    """The created image, or the base image of the plan."""

    name = "Image"
    page = "image"


LINKS = (MachineLink, SerialLink, ImageLink)
