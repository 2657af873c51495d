"""The admin API below `/_localgce`: faults, quotas, the clock and the log of requests."""

from __future__ import annotations

import asyncio
from collections import Counter
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from localgce.core.clock import ManualClock
from localgce.core.errors import ApiError, Json, MachineError, not_found
from localgce.core.faults import MACHINE_KINDS, Rule

if TYPE_CHECKING:
    from starlette.requests import Request

    from localgce.core.context import Core
    from localgce.core.store import Record
    from localgce.instances.interruptions import Interruptions
    from localgce.instances.lifecycle import Lifecycle
    from localgce.machines.contract import Machine


def routes(core: Core, lifecycle: Lifecycle, interruptions: Interruptions) -> list[Route]:
    """The routes."""
    pages = _Pages(core, lifecycle, interruptions)
    return [
        Route("/_localgce/faults", pages.faults, methods=["GET", "POST", "DELETE"]),
        Route("/_localgce/requests", pages.requests, methods=["GET", "DELETE"]),
        Route("/_localgce/quotas", pages.quotas, methods=["POST"]),
        Route("/_localgce/clock", pages.clock, methods=["GET", "POST"]),
        Route("/_localgce/consoles", pages.consoles, methods=["POST"]),
        Route("/_localgce/forwards", pages.forwards, methods=["POST"]),
        Route("/_localgce/health", pages.health, methods=["GET"]),
    ]


class _Pages:
    def __init__(self, core: Core, lifecycle: Lifecycle, interruptions: Interruptions) -> None:
        self._core = core
        self._lifecycle = lifecycle
        self._interruptions = interruptions
        self._tasks: set[asyncio.Task[None]] = set()

    async def faults(self, request: Request) -> Response:
        """POST a rule or a list of rules, GET the current ones, DELETE all."""
        if request.method == "DELETE":
            self._core.faults.clear()
            return JSONResponse({})
        if request.method == "GET":
            return JSONResponse(self._core.faults.as_json())
        try:
            return JSONResponse(self._add(await _json(request)))
        except ApiError as error:
            return JSONResponse(error.as_json(), error.status)

    async def requests(self, request: Request) -> Response:
        """GET the last requests, oldest first, and how many of each method there were.

        `?method=` selects the requests of one method; DELETE clears both.
        """
        log = self._core.faults.requests
        if request.method == "DELETE":
            log.clear()
            return JSONResponse({})
        wanted = request.query_params.get("method")
        found = [r for r in log if wanted in {None, r["method"]}]
        return JSONResponse({"requests": found, "counts": log.counts()})

    async def quotas(self, request: Request) -> Response:
        """POST `{"region": R, "metric": "CPUS", "limit": 8}`."""
        try:
            raw = await _json(request)
            region, metric, limit = str(raw["region"]), str(raw["metric"]), float(raw["limit"])
            self._core.quotas.set(region, metric, limit)
        except (KeyError, TypeError, ValueError):
            text = "a quota has region, metric and limit"
            return JSONResponse(ApiError(400, "invalid", text).as_json(), 400)
        except ApiError as error:
            return JSONResponse(error.as_json(), error.status)
        return JSONResponse({})

    async def clock(self, request: Request) -> Response:
        """GET the server's time; POST `{"advance": seconds}` moves a manual clock."""
        clock = self._core.clock
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

    async def consoles(self, request: Request) -> Response:
        """POST `{"instance": NAME}`: a root shell on the machine, at the `socket` of the answer."""
        try:
            machine = self._running(await _json(request))
            return JSONResponse({"socket": str(await machine.console())})
        except (ApiError, MachineError) as error:
            return _refused(error)

    async def forwards(self, request: Request) -> Response:
        """POST `{"instance": NAME, "host_port": 8080, "guest_port": 80}`, on 127.0.0.1."""
        try:
            raw = await _json(request)
            machine = self._running(raw)
            ports = [raw.get(key) for key in ("host_port", "guest_port")]
            if not all(type(port) is int and 0 < port < 65536 for port in ports):
                raise ApiError(400, "invalid", "host_port and guest_port are 1 to 65535")
            await machine.forward(*ports)
        except (ApiError, MachineError) as error:
            return _refused(error)
        return JSONResponse({})

    async def health(self, _: Request) -> Response:
        """Answer while the server is running, with the number of instances in each status."""
        statuses = Counter(str(r.body.get("status")) for r in self._core.store.all("instances"))
        return JSONResponse({"status": "ok", "instances": dict(statuses)})

    def _running(self, raw: Any) -> Machine:
        """The running machine of the instance that a request names."""
        name = raw.get("instance") if isinstance(raw, dict) else None
        instance = next((r for r in self._core.store.all("instances") if r.name == name), None)
        if instance is None:
            raise not_found(f"instances/{name}")
        machine = self._lifecycle.find(instance)
        if machine is None or not machine.running:
            raise ApiError(400, "resourceNotReady", f"{name} is not running")
        return machine

    def _add(self, raw: Any) -> Json:
        rules = raw if isinstance(raw, list) else [raw]
        if not all(isinstance(rule, dict) for rule in rules):
            raise ApiError(400, "invalid", "a fault is a JSON object")
        added = [self._core.faults.add(rule) for rule in rules]
        for rule in added:
            if rule.kind in MACHINE_KINDS:
                self._interrupt(rule)
        return {"faults": [asdict(rule) for rule in added]}

    def _interrupt(self, rule: Rule) -> None:
        instance = next(
            (r for r in self._core.store.all("instances") if r.name == rule.instance), None
        )
        if instance is None:
            raise not_found(f"instances/{rule.instance}")
        task = asyncio.create_task(self._apply(rule.kind, instance))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _apply(self, kind: str, instance: Record) -> None:
        machine = self._lifecycle.find(instance)
        if kind == "kill":
            await self._lifecycle.kill(instance)
        elif kind == "preempt":
            await self._interruptions.preempt(instance)
        elif kind == "host_error":
            await self._interruptions.host_error(instance)
        elif machine is not None and kind == "freeze":
            await machine.pause()
        elif machine is not None and kind == "thaw":
            await machine.resume()


async def _json(request: Request) -> Any:
    try:
        return await request.json()
    except ValueError:
        raise ApiError(400, "parseError", "the body is not JSON") from None


def _refused(error: ApiError | MachineError) -> Response:
    if isinstance(error, MachineError):
        error = ApiError(400, "failedPrecondition", str(error))
    return JSONResponse(error.as_json(), error.status)
