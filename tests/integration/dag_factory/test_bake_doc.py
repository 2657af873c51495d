"""The documentation of a recipe's DAG says all of it."""

from __future__ import annotations

from bakehouse.dag_factory.bake_doc import doc_of
from bakehouse.fleet.load import load_fleet
from bakehouse.recipe.load import load_recipe

DEBIAN = "base: debian-cloud/debian-12\n"
KAFKA = """base: {recipe: jre}
description: A broker
vars: {port: 9092, motto: "a|b `c`", empty: ""}
services: [kafka]
schedule: 0 3 * * *
timezone: Europe/Berlin
jitter: 15m
boot_time_limit: 90s
smoke: {metadata: {broker-id: "1"}, deadline: 4m}
image: {keep: {last: 3, days: 30}}
builder: {machine_type: e2-medium, disk_gb: 20, spot: true}
rebake: on_updates
max_age: 3d
owner: data-team
"""
FLEET = "recipe: kafka\nmembers: {labels: {a: b}, zones: [us-central1-a]}\nrollout: follow\n"


def test_a_recipe_in_words() -> None:
    recipes = [
        load_recipe(text, f"{name}.yaml")
        for name, text in {
            "jre": DEBIAN,
            "kafka": KAFKA,
            "connect": "base: {recipe: kafka}\n",
            "other": DEBIAN,
        }.items()
    ]
    fleets = [
        load_fleet(FLEET, "brokers.yaml"),
        load_fleet(FLEET.replace("kafka", "web"), "x.yaml"),
    ]
    told = doc_of(recipes[1], recipes, fleets)
    for words in (
        "# kafka",
        "A broker",
        "image family | **kafka**",
        "[jre](/dags/bake__jre), which is built on **debian-cloud/debian-12**",
        "[connect](/dags/bake__connect): each new image of this recipe bakes them",
        "`0 3 * * *` (Europe/Berlin, ",
        "on each new image of [jre](/dags/bake__jre)",
        "older than 3d",
        "| spot e2-medium with 20 GB of pd-balanced, without an external address",
        "| services | `kafka` |",
        "healthy within **1m30s** of power-on, all checks within 4m; given `broker-id`",
        "the newest 3 promoted and all younger than 30 days",
        "| `port` | `9092` |",
        "| `motto` | `` a\\|b `c` `` |",
        "| [brokers](/dags/roll_out__brokers) | rolled out in a run of its own",
        "| owner | data-team |",
        "`include/startup_scripts/kafka/`",
    ):
        assert words in told, told
    assert "[x]" not in told


def test_the_least_that_a_recipe_says() -> None:
    told = doc_of(load_recipe(DEBIAN, "web.yaml"))
    assert "built on | **debian-cloud/debian-12**" in told
    assert "| baked | on demand |" in told
    assert "## " not in told, "no section for what there is none of"
