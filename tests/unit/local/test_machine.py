from __future__ import annotations

import pytest

from bakehouse.images import labels
from bakehouse.local.errors import LocalError
from bakehouse.local.machine import Forward, insert_body
from bakehouse.local.runs import new_run
from bakehouse.recipe.load import load_recipe

RECIPE = b"""
base: debian-cloud/debian-12
smoke:
  metadata: {greeting: hello, color: red}
"""


def test_a_port_is_given_as_host_and_guest_or_once_for_both() -> None:
    assert Forward.parse("8080:80") == Forward(8080, 80)
    assert Forward.parse("8080") == Forward(8080, 8080)


@pytest.mark.parametrize("text", ["", "http", "0:80", "80:65536", "-1:80", "1:2:3"])
def test_what_is_no_pair_of_ports_is_refused(text: str) -> None:
    with pytest.raises(LocalError, match="-p"):
        Forward.parse(text)


def test_a_machine_has_the_recipes_runtime_config_and_what_the_user_says_wins() -> None:
    recipe = load_recipe(RECIPE, "include/recipes/web.yaml")
    run = new_run("web", "run")

    body = insert_body(run, recipe, {"selfLink": "global/images/web-1"}, {"color": "blue"})

    items = {item["key"]: item["value"] for item in body["metadata"]["items"]}
    assert items["greeting"] == "hello"
    assert items["color"] == "blue"
    assert body["labels"][labels.RUN] == run.label
    assert body["labels"][labels.RECIPE] == "web"
    assert int(body["labels"][labels.EXPIRES]) > 0
    assert body["scheduling"]["instanceTerminationAction"] == "DELETE"
    assert body["disks"][0]["autoDelete"] is True
    assert body["disks"][0]["initializeParams"]["sourceImage"] == "global/images/web-1"
