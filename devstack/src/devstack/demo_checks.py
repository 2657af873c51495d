"""The claims of the demo, each checked against Compute Engine or a member's own page."""

from __future__ import annotations

from devstack import demo_fleet
from devstack.demo_model import DAG, Demo, claim


def check_image(demo: Demo) -> None:
    """It is READY, promoted, labelled with the commit, and the newest of its family."""
    plan = demo.airflow.xcom(DAG, demo.run.run_id, "plan_bake")
    demo.image = demo.compute.image(plan["image_name"])
    labels = demo.image.get("labels", {})
    claim(demo.image["status"] == "READY", f"the image is {demo.image['status']}, not READY")
    claim(
        labels.get("git-sha") == demo.commit.sha,
        f"the image is labelled {labels.get('git-sha')}, not {demo.commit.sha}",
    )
    claim(labels.get("bakehouse-state") == "promoted", f"the image's labels say {labels}")
    family = plan["image"]["family"] or plan["recipe"]
    newest = demo.compute.newest_of(family)
    claim(
        newest["name"] == demo.image["name"],
        f"the newest image of {family} is {newest['name']}, not {demo.image['name']}",
    )
    demo.report.line(f"{demo.image['name']} is READY and the newest of {family}", "green")


def check_members(demo: Demo) -> None:
    """Each member has the new image and page, and all else is as before."""
    after = demo_fleet.observe(demo.compute, demo.real)
    for member, now in after.items():
        image, sha = demo.image["name"], demo.commit.sha
        wrong = demo_fleet.changes(demo.before[member], now, image, sha, demo.real)
        claim(not wrong, f"{member}: {'; '.join(wrong)}")
        page = f", its page: {now.page['page']!r}, {now.page['greeting']!r}" if now.page else ""
        same = "id, address, metadata and data as before"
        demo.report.line(f"{member} runs {now.boot_image}{page}; {same}", "green")
    for member, seconds in demo.downtimes.items():
        demo.report.line(f"{member} served no page for {seconds:.0f} s at the longest")


def check_nothing_left(demo: Demo) -> None:
    """The runs have cleaned up: only the fleet and its own disks exist."""
    left = demo_fleet.leftovers(demo.compute)
    claim(not left, f"the runs left {', '.join(left)} behind")
    demo.report.line("the runs left no instance and no disk besides the fleet's", "green")
