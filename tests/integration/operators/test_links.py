"""Where the buttons on the tasks lead."""

from __future__ import annotations

from types import SimpleNamespace

from bakehouse.operators.links import ImageLink, MachineLink, SerialLink


def test_a_link_leads_to_what_the_step_has_left_and_nowhere_before() -> None:
    pages = {"machine": "m", "serial": "s", "image": "i"}
    step = SimpleNamespace(pages=pages)
    links = (MachineLink(), SerialLink(), ImageLink())
    assert [link.get_link(step, ti_key=None) for link in links] == ["m", "s", "i"]
    assert [link.get_link(SimpleNamespace(pages={}), ti_key=None) for link in links] == [""] * 3
    assert [link.name for link in links] == ["Machine", "Serial log", "Image"]
