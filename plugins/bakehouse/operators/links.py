"""The links of a task that lead to what it has made."""

from __future__ import annotations

from typing import Any, ClassVar

from airflow.sdk import BaseOperatorLink


class _PageLink(BaseOperatorLink):
    """Of the task's last try; asked for whenever its process ends, to wait or for good."""

    page: ClassVar[str]  # which of the task's pages

    def get_link(self, operator: Any, *, ti_key: Any) -> str:
        """The address that the task left, empty when it made nothing."""
        return str(getattr(operator, "pages", {}).get(self.page, ""))


class MachineLink(_PageLink):
    """The builder, the smoke VM, the fleet's member."""

    name = "Machine"
    page = "machine"


class SerialLink(_PageLink):
    """What that machine writes on its serial port."""

    name = "Serial log"
    page = "serial"


class ImageLink(_PageLink):
    """The image that is made, or that the plan builds on."""

    name = "Image"
    page = "image"


LINKS = (MachineLink, SerialLink, ImageLink)
