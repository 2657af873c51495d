"""localgce's own pages below `/_localgce`: faults on demand and the log of calls."""

from __future__ import annotations

import asyncio
from dataclasses import asdict
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from localgce.clock import ManualClock
from localgce.control.faults import MACHINE_KINDS, Rule
from localgce.errors import ApiError, Json, not_found
from localgce.service import Service
from localgce.state.store import Record


def routes(service: Service) -> list[Route]:
    """The routes."""
    pages = _Pages(service)
    return [
        Route("/_localgce/faults", pages.faults, methods=["GET", "POST", "DELETE"]),
        Route("/_localgce/requests", pages.requests, methods=["GET", "DELETE"]),
        Route("/_localgce/quotas", pages.quotas, methods=["POST"]),
        Route("/_localgce/clock", pages.clock, methods=["GET", "POST"]),
        Route("/_localgce/health", pages.health, methods=["GET"]),
    ]


class _Pages:
    def __init__(self, service: Service) -> None:
        self._service = service
        self._tasks: set[asyncio.Task[None]] = set()

    async def faults(self, request: Request) -> Response:
        """POST a rule or a list of rules, GET those of now, DELETE all."""
        if request.method == "DELETE":
            self._service.faults.clear()
            return JSONResponse({})
        if request.method == "GET":
            return JSONResponse(self._service.faults.as_json())
        try:
            return JSONResponse(self._add(await _json(request)))
        except ApiError as error:
            return JSONResponse(error.as_json(), error.status)

    async def requests(self, request: Request) -> Response:
        """GET what was called, oldest first; `?method=` keeps one method. DELETE forgets it."""
        if request.method == "DELETE":
            self._service.faults.requests.clear()
            return JSONResponse({})
        wanted = request.query_params.get("method")
        found = [r for r in self._service.faults.requests if wanted in {None, r["method"]}]
        return JSONResponse({"requests": found})

    async def quotas(self, request: Request) -> Response:
        """POST `{"region": R, "metric": "CPUS", "limit": 8}`."""
        try:
            raw = await _json(request)
            region, metric, limit = str(raw["region"]), str(raw["metric"]), float(raw["limit"])
            self._service.quotas.set(region, metric, limit)
        except (KeyError, TypeError, ValueError):
            text = "a quota has region, metric and limit"
            return JSONResponse(ApiError(400, "invalid", text).as_json(), 400)
        except ApiError as error:
            return JSONResponse(error.as_json(), error.status)
        return JSONResponse({})

    async def clock(self, request: Request) -> Response:
        """GET the server's time; POST `{"advance": seconds}` where it is stepped by hand."""
        clock = self._service.clock
        if request.method == "POST":
            try:
                raw = await _json(request)
            except ApiError as error:
                return JSONResponse(error.as_json(), error.status)
            seconds = raw.get("advance") if isinstance(raw, dict) else None
            if not isinstance(clock, ManualClock) or not isinstance(seconds, (int, float)):
                text = "needs a server with --clock manual and {'advance': seconds}"
                return JSONResponse(ApiError(400, "invalid", text).as_json(), 400)
            await clock.advance(seconds)
        return JSONResponse({"now": clock.now()})

    async def health(self, _: Request) -> Response:
        """Answers when the server does."""
        return JSONResponse({"status": "ok"})

    def _add(self, raw: Any) -> Json:
        rules = raw if isinstance(raw, list) else [raw]
        if not all(isinstance(rule, dict) for rule in rules):
            raise ApiError(400, "invalid", "a fault is a JSON object")
        added = [self._service.faults.add(rule) for rule in rules]
        for rule in added:
            if rule.kind in MACHINE_KINDS:
                self._strike(rule)
        return {"faults": [asdict(rule) for rule in added]}

    def _strike(self, rule: Rule) -> None:
        instance = next(
            (r for r in self._service.store.all("instances") if r.name == rule.instance), None
        )
        if instance is None:
            raise not_found(f"instances/{rule.instance}")
        task = asyncio.create_task(self._do(rule.kind, instance))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _do(self, kind: str, instance: Record) -> None:
        lifecycle = self._service.lifecycle
        machine = lifecycle.find(instance)
        if kind == "kill":
            await lifecycle.kill(instance)
        elif kind == "preempt":
            await lifecycle.preempt(instance)
        elif kind == "host_error":
            await lifecycle.host_error(instance)
        elif machine is not None and kind == "freeze":
            await machine.pause()
        elif machine is not None and kind == "thaw":
            await machine.resume()


async def _json(request: Request) -> Any:
    try:
        return await request.json()
    except ValueError:
        raise ApiError(400, "parseError", "the body is not JSON") from None
