"""Build a recipe of the work tree: at once if it is unchanged, else by the steps of its DAG."""

from __future__ import annotations

import fcntl
import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from bakehouse.bake.builder import BuilderVm
from bakehouse.bake.candidate import candidate
from bakehouse.bake.plan import LocalLayer
from bakehouse.images import labels
from bakehouse.images.selection import newest_local
from bakehouse.local.client import Client
from bakehouse.local.content import local_images, read_content, unchanged_image
from bakehouse.local.errors import LocalError
from bakehouse.local.layer_store import LayerKeeper, known_layers
from bakehouse.local.layers import best_layer, install_state
from bakehouse.local.runs import forget, living, new_run
from bakehouse.local.server import INSTANT
from bakehouse.local.task_ids import KEEP_IMAGE
from bakehouse.operators.failure_reason import one_line
from bakehouse.recipe.rules import parent_of

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Mapping

    from bakehouse.local.content import Content
    from bakehouse.local.layers import InstallState
    from bakehouse.local.live_log import Lines
    from bakehouse.local.places import Places
    from bakehouse.local.runs import LocalRun
    from bakehouse.local.server import Server
    from bakehouse.local.steps import Steps
    from bakehouse.recipe.model import Scalar

BEFORE = ("resolve_commit", "plan_bake", "need_bake", "create_builder", "wait_for_shutdown")
AFTER = ("create_image", "label_image")
SMOKE = "smoke_test"


@dataclass(frozen=True)
class Request:
    """What was asked for on the command line."""

    places: Places
    server: Server | None  # None: a project of Google's
    connection: str
    say: Callable[[str], None]
    vars: Mapping[str, Scalar] = field(default_factory=dict)
    force: bool = False
    shell: bool = False
    smoke: bool = True  # False: whoever boots the image looks for itself


@dataclass(frozen=True)
class Built:
    """The image of a build; `seconds` is None if it was there already."""

    image: str
    kind: str
    seconds: float | None


def build(request: Request, name: str) -> Built:
    """Build the recipe, after the recipe that it is built on. Raises LocalError."""
    content = read_content(request.places.project, name, request.vars)
    parent = parent_of(content.recipe)
    if parent is not None:
        build(Request(request.places, request.server, request.connection, request.say), parent)
    if (found := _unchanged(request, content)) is not None:
        return found
    with _one_at_a_time(request, name):
        found = _unchanged(request, content)  # another build may just have made it
        return found or _smoke_tested(request, content) or _bake(request, content)


def test_image(request: Request, name: str) -> str:
    """Run the smoke test of the work tree on the newest local image; return its name."""
    content = read_content(request.places.project, name, request.vars)
    if request.server is None:
        raise LocalError("a smoke test alone runs on this computer")
    with Client(request.server) as client:
        image = newest_local(local_images(client, content.recipe), name, untested=True)
    if image is None:
        raise LocalError(f"there is no local image of it: bakehouse build {name}")
    request.say(f"testing {image['name']} with the smoke test of the work tree at {content.state}")
    with _steps(request, content, "test") as (steps, lines):
        for task_id in ("resolve_commit", "plan_bake"):
            lines.task = task_id
            _run(steps, task_id)
        _adopt(steps, image)
        lines.task = "smoke_test"
        own_name = str(steps.returned["plan_bake"]["image_name"])
        try:
            _run(steps, "smoke_test")
        except LocalError as failed:
            text = str(failed).replace(f"{own_name} is not promoted", str(image["name"]))
            raise LocalError(text) from failed
    return str(image["name"])


def _adopt(steps: Steps, image: Mapping[str, Any]) -> None:
    """Let the tasks that follow take it for the image that these steps have made."""
    for task_id in AFTER:
        steps.returned[task_id] = candidate(image).model_dump(mode="json")


def _unchanged(request: Request, content: Content) -> Built | None:
    if request.server is None or request.force:
        return None
    with Client(request.server) as client:
        image = unchanged_image(client, content, untested=not request.smoke)
    if image is None:
        return None
    request.say(f"{content.recipe.name} is unchanged ({content.state}): {image['name']}")
    return Built(str(image["name"]), content.recipe.image.kind, None)


def _smoke_tested(request: Request, content: Content) -> Built | None:
    """Test the image of this content that `bakehouse run` has left untested, if there is one."""
    if request.server is None or request.force or not request.smoke:
        return None
    with Client(request.server) as client:
        image = unchanged_image(client, content, untested=True)
    if image is None:
        return None
    began = time.monotonic()
    request.say(f"testing {image['name']}, which was run untested")
    with _steps(request, content, "build") as (steps, lines):
        for task_id in ("resolve_commit", "plan_bake"):
            lines.task = task_id
            _run(steps, task_id)
        steps.returned["plan_bake"]["image_name"] = str(image["name"])
        _adopt(steps, image)
        for task_id in ("smoke_test", KEEP_IMAGE):
            lines.task = task_id
            _run(steps, task_id)
    return Built(str(image["name"]), content.recipe.image.kind, time.monotonic() - began)


def _bake(request: Request, content: Content) -> Built:
    began = time.monotonic()
    request.say(f"building {content.recipe.name} from the work tree at {content.state}")
    with _steps(request, content, "build") as (steps, lines), _shell_offered(request, steps):
        for task_id in (*BEFORE, *AFTER, *([SMOKE] if request.smoke else []), KEEP_IMAGE):
            lines.task = task_id
            if task_id == "need_bake" and (found := _in_the_project(request, content, steps)):
                return found
            if task_id == "create_builder":
                _choose_layer(request, content, steps)
            if task_id == "wait_for_shutdown":
                with _keeping_layers(request, content, steps) as beside:
                    _run(steps, task_id, beside)
            else:
                _run(steps, task_id)
    image = str(steps.returned["label_image"]["name"])
    return Built(image, content.recipe.image.kind, time.monotonic() - began)


@contextmanager
def _shell_offered(request: Request, steps: Steps) -> Generator[None]:
    """Say how to get into a machine that stays after a failed install."""
    try:
        yield
    except LocalError:
        builder = steps.returned.get("create_builder")
        if request.shell and builder and "wait_for_shutdown" not in steps.returned:
            request.say(f"{builder['name']} stays as it is: bakehouse shell {builder['name']}")
        raise


@contextmanager
def _steps(request: Request, content: Content, verb: str) -> Generator[tuple[Steps, Lines]]:
    """Yield the tasks of a run, which the DAG's own teardown follows."""
    from bakehouse.local.airflow_environment import set_environment

    set_environment(request.places, request.server, request.connection)
    from bakehouse.local.leftovers import delete_leftovers
    from bakehouse.local.live_log import Lines
    from bakehouse.local.steps import Steps

    if request.places.kind == INSTANT:
        request.say("instant machines install nothing and check nothing but templates")
    lines = Lines(request.say)
    lines.install()
    run = new_run(content.recipe.name, verb)
    params: dict[str, Any] = {"vars": dict(request.vars), "force": True, "roll_out": False}
    params["keep_builder"] = request.shell
    steps = Steps(request.places, run, content.recipe, request.connection, params)
    with living(request.places, run), _torn_down(request, run, steps, lines):
        delete_leftovers(request.places, request.connection, run, request.say)
        yield steps, lines


def _in_the_project(request: Request, content: Content, steps: Steps) -> Built | None:
    """Return the image of an earlier build in a project of Google's, where Airflow must ask."""
    from bakehouse.cloud.compute_hook import hook_of
    from bakehouse.cloud.image_client import image_client

    if request.server is not None or request.force:
        return None
    recipe = content.recipe
    client = image_client(hook_of(request.connection), recipe.image.kind)
    images = client.list(f"labels.{labels.RECIPE}={recipe.name}")
    found = newest_local(images, recipe.name, str(steps.returned["plan_bake"]["content_key"]))
    if found is None:
        return None
    request.say(f"{recipe.name} is unchanged ({content.state}): {found['name']}")
    return Built(str(found["name"]), recipe.image.kind, None)


def _choose_layer(request: Request, content: Content, steps: Steps) -> None:
    """Let the builder go on from the last part of the install that is unchanged."""
    plan = steps.returned["plan_bake"]
    plan["stays_on_failure"] = request.shell
    if request.server is None or plan["snapshot"]:
        return
    plan["keeps_layers"] = True
    if request.force:
        return
    with Client(request.server) as client:
        records = known_layers(request.places, client, content.recipe.name)
    layer = best_layer(records, _install_state(content, plan))
    if layer is None:
        return
    count = len(content.parts)
    rest = "nothing" if layer.parts == count else f"part {layer.parts + 1} to {count}"
    request.say(f"going on from layer {layer.image}: {rest} of the install is run")
    chosen = LocalLayer(
        image=layer.image, image_id=layer.image_id, self_link=layer.self_link, parts=layer.parts
    )
    plan["layer"] = chosen.model_dump(mode="json")


@contextmanager
def _keeping_layers(
    request: Request, content: Content, steps: Steps
) -> Generator[Callable[[], Any] | None]:
    plan = steps.returned["plan_bake"]
    if request.server is None or not plan["keeps_layers"]:
        yield None
        return
    vm = BuilderVm.model_validate(steps.returned["create_builder"])
    with Client(request.server) as client:
        state = _install_state(content, plan)
        keeper = LayerKeeper(request.places, client, steps.of_run, state, request.say)
        yield lambda: keeper.follow(vm)


def _install_state(content: Content, plan: Mapping[str, Any]) -> InstallState:
    base = str(plan["base_image"]["id"])
    return install_state(content.rendered, base, content.guest, content.parts)


def _run(steps: Steps, task_id: str, beside: Callable[[], Any] | None = None) -> None:
    from airflow.sdk.exceptions import AirflowException

    try:
        steps.run(task_id, beside)
    except AirflowException as failed:
        raise LocalError(one_line(failed)) from failed


@contextmanager
def _torn_down(request: Request, run: LocalRun, steps: Steps, lines: Lines) -> Generator[None]:
    """Run the DAG's own teardown at the end, whatever that is; Ctrl-C does not stop it."""
    try:
        yield
    except BaseException:
        if "plan_bake" in steps.returned:
            _tear_down(request, run, steps, lines)
        else:
            forget(request.places, run.label)
        raise
    _tear_down(request, run, steps, lines)


def _tear_down(request: Request, run: LocalRun, steps: Steps, lines: Lines) -> None:
    from airflow.sdk.exceptions import AirflowException

    lines.task = "delete_builder"
    try:
        steps.run("delete_builder")
    except AirflowException as failed:
        request.say(f"not everything is deleted, the next build does it: {one_line(failed)}")
    else:
        forget(request.places, run.label)


@contextmanager
def _one_at_a_time(request: Request, name: str) -> Generator[None]:
    """Let the second of two builds of a recipe wait for the first, and find its image."""
    request.places.make()
    with (request.places.folder / f"build-{name}.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            request.say(f"waiting for another build of {name}")
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield
