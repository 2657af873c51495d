"""The read-only JSON API, `/bakehouse/api/v1`, and the files of the page.

FastAPI evaluates the annotations of its routes, so they are no strings, and what they name is
imported. This module is imported by the first question only; see `plugin_apps`.
"""

from collections.abc import Callable, Mapping, Sequence
from datetime import date
from pathlib import Path
from typing import Annotated, Any

from fastapi import APIRouter, Depends, FastAPI, HTTPException, Query, Request
from fastapi.responses import FileResponse

from bakehouse.history.ancestry import base_images, descendants
from bakehouse.pages import answers, queries
from bakehouse.pages.answers import ImageState
from bakehouse.pages.history_source import HistorySource, Snapshot, StillReading
from bakehouse.pages.queries import Scope, Wanted
from bakehouse.pages.read_model import rollout_answer
from bakehouse.pages.rights import BAKE, Everybody, User, rights_of, scope_of

STATIC = Path(__file__).parent / "static"
_SCRIPTS = ("page", "dom", "views", "plots", "difference", "actions")
FILES = {
    "": "index.html",
    "icon.svg": "icon.svg",  # a browser that is told none asks the root of the host for one
    "page.css": "page.css",
    **{f"{name}.js": f"{name}.js" for name in _SCRIPTS},
}
_HEADERS = {
    "Cache-Control": "no-cache",
    "X-Content-Type-Options": "nosniff",
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self';"
        " img-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'self'"
    ),
}

Offset = Annotated[int, Query(ge=0)]
Limit = Annotated[int, Query(ge=1, le=queries.MOST)]
Text = Annotated[str, Query(max_length=200)]


class Services:
    """What the routes need besides the user.

    Args:
        source: Of all rows.
        compare: Reads and compares two images.
        asset_events: Reads what Airflow itself knows.
        freeze: Says the freeze that is on, or an empty string.
        boot_limits: Seconds by recipe, as far as the recipes' files can be read.
    """

    def __init__(
        self,
        source: HistorySource,
        compare: Callable[[Snapshot, str, str], answers.Comparison],
        asset_events: Callable[[], Sequence[answers.AssetEventRow]] = tuple,
        freeze: Callable[[], str] = str,
        boot_limits: Callable[[], Mapping[str, float]] = dict,
    ) -> None:
        self.source, self.asset_events = source, asset_events
        self.compare = compare
        self.freeze, self.boot_limits = freeze, boot_limits


class Question:
    """One question of one user: what there is, and what of it is seen."""

    def __init__(self, snapshot: Snapshot, user: User) -> None:
        self.snapshot, self.model, self.user = snapshot, snapshot.model, user
        self.source = snapshot.source
        self.scope: Scope = scope_of(user, snapshot.model)

    def image(self, name: str) -> answers.ImageRow:
        """Return an image that is seen; 404 for any other."""
        row = self.model.by_name.get(name)
        if row is None or not self.scope.recipe(row.recipe):
            raise HTTPException(404, "the ledger has no image of this name")
        return row


def create_app(
    services: Services,
    user: Callable[..., User] = Everybody,
    guards: Sequence[Callable[..., Any]] = (),
) -> FastAPI:
    """Return the app.

    Args:
        services: What is read.
        user: The FastAPI dependency that returns the user, and refuses everybody else.
        guards: Dependencies of every route, also of the files and the schema.
    """
    app = FastAPI(
        title="Bakehouse",
        version="1",
        description="The history of images and fleets, read-only.",
        dependencies=[Depends(guard) for guard in (user, *guards)],
        docs_url=None,
        redoc_url=None,
        openapi_url=None,  # the routes of these three would have no guards
    )

    def question(user: Annotated[User, Depends(user)]) -> Question:
        try:
            return Question(services.source.current(), user)
        except StillReading as late:
            raise HTTPException(503, str(late), {"Retry-After": "60"}) from late

    app.include_router(_lists(services, question), prefix="/api/v1")
    app.include_router(_images(services, question), prefix="/api/v1")

    @app.get("/api/v1/openapi.json", include_in_schema=False)
    def schema(request: Request) -> dict[str, Any]:
        """The schema, with the address under which this server is reached."""
        root = str(request.scope.get("root_path") or "")
        return {**app.openapi(), "servers": [{"url": root or "/"}]}

    @app.get("/{name}", include_in_schema=False)
    def file(name: str) -> FileResponse:
        """A file of the page."""
        if name not in FILES:
            raise HTTPException(404, "there is no such page")
        return FileResponse(STATIC / FILES[name], headers=_HEADERS)

    @app.get("/", include_in_schema=False)
    def plain() -> FileResponse:
        """The page by itself, outside Airflow's frame."""
        return file("")

    return app


def _lists(services: Services, question: Callable[..., Question]) -> APIRouter:
    router = APIRouter(tags=["lists"])

    @router.get("/summary")
    def summary(asked: Annotated[Question, Depends(question)]) -> answers.Summary:
        """Recipes, fleets, rollouts under way, holds, the freeze, and what the user may trigger."""
        return _summary(services, asked)

    @router.get("/timeline")
    def timeline(
        asked: Annotated[Question, Depends(question)],
        recipe: Text = "",
        fleet: Text = "",
        search: Text = "",
        first: date | None = None,
        last: date | None = None,
        offset: Offset = 0,
        limit: Limit = 50,
    ) -> answers.TimelinePage:
        """What happened, the newest first: each bake, rebake, deploy and roll-back, and why."""
        wanted = Wanted(recipe=recipe, fleet=fleet, search=search, first=first, last=last)
        rows = queries.timeline(asked.model, wanted, asked.scope)
        shown = queries.page(rows, offset, limit)
        return answers.TimelinePage(
            source=asked.source, total=len(rows), offset=offset, entries=shown
        )

    @router.get("/members")
    def members(
        asked: Annotated[Question, Depends(question)],
        recipe: Text = "",
        fleet: Text = "",
        image: Text = "",
        search: Text = "",
        offset: Offset = 0,
        limit: Limit = 50,
    ) -> answers.MemberPage:
        """Who runs what: drift, what a rollout waits for, holds, and the age of missing fixes."""
        wanted = Wanted(recipe=recipe, fleet=fleet, search=search)
        rows = queries.members(asked.model, wanted, asked.scope, image)
        shown = queries.page(rows, offset, limit)
        return answers.MemberPage(
            source=asked.source, total=len(rows), offset=offset, members=shown
        )

    @router.get("/asset-events")
    def asset_events(asked: Annotated[Question, Depends(question)]) -> answers.AssetEventPage:
        """Promoted images by Airflow's asset events and XComs, which need no ledger."""
        rows = services.asset_events()
        seen = asked.user.readable({f"{BAKE}{row.recipe}" for row in rows})
        return answers.AssetEventPage(
            source=asked.source, images=tuple(r for r in rows if f"{BAKE}{r.recipe}" in seen)
        )

    return router


def _summary(services: Services, asked: Question) -> answers.Summary:
    model, scope, limits = asked.model, asked.scope, services.boot_limits()
    counts: dict[str, int] = {}
    for row in model.images:
        counts[row.recipe] = counts.get(row.recipe, 0) + 1
    return answers.Summary(
        source=asked.source,
        recipes=tuple(
            answers.RecipeSummary(
                recipe=recipe,
                images=counts[recipe],
                newest=model.newest.get(recipe),
                fleets=tuple(
                    sorted(f for f, of in model.fleets.items() if of == recipe and scope.fleet(f))
                ),
                bake_dag=f"{BAKE}{recipe}",
                boot_limit_seconds=limits.get(recipe),
            )
            for recipe in sorted(counts)
            if scope.recipe(recipe)
        ),
        fleets=tuple(sorted(name for name in model.fleets if scope.fleet(name))),
        rollouts=tuple(rollout_answer(r) for r in model.rollouts if scope.fleet(r.fleet)),
        holds=tuple(
            answers.HeldImage(
                fleet=hold.fleet,
                image=hold.image,
                instead=hold.instead,
                since=hold.since,
                by=hold.by or "a person",
                why=hold.why,
            )
            for hold in model.holds.values()
            if scope.fleet(hold.fleet)
        ),
        frozen=services.freeze(),
        rights=rights_of(asked.user, scope),
    )


def _images(services: Services, question: Callable[..., Question]) -> APIRouter:
    router = APIRouter(tags=["images"])

    @router.get("/images")
    def images(
        asked: Annotated[Question, Depends(question)],
        recipe: Text = "",
        fleet: Text = "",
        state: Annotated[list[ImageState] | None, Query()] = None,
        search: Text = "",
        first: date | None = None,
        last: date | None = None,
        offset: Offset = 0,
        limit: Limit = 50,
    ) -> answers.ImagePage:
        """Images, the newest first; `search` is the begin of a hash or name, or of the subject."""
        wanted = Wanted(recipe, fleet, state or (), search, first, last)
        rows = queries.images(asked.model, wanted, asked.scope)
        shown = queries.page(rows, offset, limit)
        return answers.ImagePage(source=asked.source, total=len(rows), offset=offset, images=shown)

    @router.get("/images/{name}")
    def image(asked: Annotated[Question, Depends(question)], name: str) -> answers.ImageDetail:
        """One image: its story, its base images, what is built on it, and who runs it."""
        model, row = asked.model, asked.image(name)
        story = [one for one in queries.timeline(model, Wanted(), asked.scope) if one.image == name]
        return answers.ImageDetail(
            source=asked.source,
            image=row,
            ancestry=tuple(base_images(name, model.bakes)[1:]),
            built_on_it=tuple(descendants(name, model.bakes)),
            story=queries.page(story, 0, queries.MOST),
            members=queries.page(
                queries.members(model, Wanted(), asked.scope, name), 0, queries.MOST
            ),
        )

    @router.get("/series/{recipe}")
    def series(asked: Annotated[Question, Depends(question)], recipe: str) -> answers.Series:
        """Bake and boot seconds, size and packages of a recipe's newest 300 images."""
        if not asked.scope.recipe(recipe):
            raise HTTPException(404, "the ledger has no images of this recipe")
        fields = set(answers.Point.model_fields)
        return answers.Series(
            source=asked.source,
            recipe=recipe,
            boot_limit_seconds=services.boot_limits().get(recipe),
            points=tuple(
                answers.Point(**row.model_dump(include=fields))
                for row in queries.plotted(asked.model, recipe)
            ),
        )

    @router.get("/diff")
    def diff(
        asked: Annotated[Question, Depends(question)],
        new: Text,
        old: Text = "",
        member: Annotated[str, Query(max_length=200, description="fleet/member, not old")] = "",
    ) -> answers.Comparison:
        """From one image to another, or from what a member runs to an image."""
        if bool(old) == bool(member):
            raise HTTPException(422, "name either `old` or `member`")
        if member:
            fleet, _, name = member.partition("/")
            rows = queries.members(asked.model, Wanted(fleet=fleet), asked.scope)
            running = next((row.image for row in rows if row.member == name), None)
            if running is None:
                raise HTTPException(404, "no member of this name is known")
            old = running
        return services.compare(asked.snapshot, asked.image(old).image, asked.image(new).image)

    return router
