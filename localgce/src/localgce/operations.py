"""Long-running operations: begun in the transaction of their call, worked on in a task of their
own, taken up again after a restart.

Works are registered by name and must be safe to repeat from the start, because a kill can come
between any two of their steps.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from localgce.clock import stamp
from localgce.control.faults import Rule
from localgce.errors import ApiError, Json, OperationError
from localgce.machines.contract import MachineError
from localgce.resources import links
from localgce.resources.ids import numeric_id, operation_name
from localgce.state.store import Record

if TYPE_CHECKING:
    from localgce.http.call import Call
    from localgce.service import Service

log = logging.getLogger("localgce")
USER = "localgce@localhost"
SYSTEM = "system@google.com"
KINDS = ("zoneOperations", "regionOperations", "globalOperations")
_KEEP_SECONDS = 14 * 24 * 3600


@dataclass(frozen=True)
class Work:
    """What a work is given: the service, its operation's target and arguments."""

    service: Service
    operation: Record
    target: Record
    args: Json

    def progress(self, percent: int) -> None:
        """Show how far it is."""
        self.service.operations.update(self.operation, progress=percent)

    def warn(self, code: str, message: str) -> None:
        """Add a warning to the operation."""
        warning = {"code": code, "message": message, "data": []}
        self.service.operations.update(self.operation, warnings=[warning])


Worker = Callable[[Work], Awaitable[None] | None]


@dataclass
class _Turn:
    """Whose turn it is on a target; kept while someone has it or waits for it."""

    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    waiting: int = 0


@dataclass(frozen=True)
class _Registered:
    do: Worker
    undo: Worker | None
    takes_over: bool


_WORKERS: dict[str, _Registered] = {}


def work(
    name: str, *, undo: Worker | None = None, takes_over: bool = False
) -> Callable[[Worker], Worker]:
    """Register what an operation of this name does, and what is left to do when it fails.

    Works on one target run one after another; one that `takes_over` (a deletion) ends those
    before it instead of waiting.
    """

    def register(worker: Worker) -> Worker:
        _WORKERS[name] = _Registered(worker, undo, takes_over)
        return worker

    return register


class Operations:
    """All operations of the server."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._store = service.store
        self._turns: dict[str, _Turn] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._done: dict[str, asyncio.Event] = {}
        self._requests: dict[tuple[str, ...], Record] = {}

    def resume(self) -> None:
        """Take up what a kill interrupted, and forget what is two weeks old."""
        now = self._service.clock.now()
        for kind in KINDS:
            for record in self._store.all(kind):
                if record.private.get("request"):
                    self._requests[tuple(record.private["request"])] = record
                if record.body["status"] != "DONE":
                    self._launch(record)
                elif now - record.private["at"] > _KEEP_SECONDS:
                    self.forget(record)

    def begin(self, call: Call, target: Record, name: str, args: Json) -> Record:
        """The operation of a call; its work starts when the call's transaction is through."""
        request = _request_key(call)
        record = self._new(
            target.project,
            call.scope,
            call.method.id,
            target,
            clientOperationId=call.query.get("requestId"),
        ).kept(
            work=name,
            args=args,
            target=[target.kind, target.project, target.scope, target.name],
            faults=[asdict(rule) for rule in call.faults],
            request=request,
        )
        self._store.put(record)
        if request:
            self._requests[tuple(request)] = record
        asyncio.get_running_loop().call_soon(self._launch, record)
        return record

    def repeated(self, call: Call) -> Record | None:
        """The operation that an earlier call with the same requestId began."""
        key = _request_key(call)
        earlier = self._requests.get(tuple(key)) if key else None
        return self._store.again(earlier) if earlier else None

    def system(self, target: Record, operation_type: str, message: str) -> Record:
        """An operation that Compute Engine itself did: done, without a caller."""
        now = stamp(self._service.clock.now())
        record = self._new(target.project, target.scope, operation_type, target)
        done = record.changed(
            operationType=operation_type,
            status="DONE",
            progress=100,
            user=SYSTEM,
            statusMessage=message,
            startTime=now,
            endTime=now,
        )
        self._store.note(done)
        return done

    def update(self, record: Record, **fields: object) -> None:
        """Change what the operation shows."""
        current = self._store.again(record)
        if current is not None:
            self._store.note(current.changed(**fields))

    def busy(self, target: Record) -> bool:
        """Whether an operation on the target is still to be done."""
        return any(
            record.body["status"] != "DONE" and record.body["targetId"] == target.id
            for kind in KINDS
            for record in self._store.all(kind, target.project, target.scope)
        )

    async def wait(self, record: Record, seconds: float) -> Record:
        """The operation when it is done, or as it is after that time (real time)."""
        if record.body["status"] != "DONE":
            event = self._done.setdefault(record.name, asyncio.Event())
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(event.wait(), seconds)
        return self._store.again(record) or record

    def forget(self, record: Record) -> None:
        """Delete a finished operation."""
        self._store.delete(record)
        if record.private.get("request"):
            self._requests.pop(tuple(record.private["request"]), None)

    async def close(self) -> None:
        """Let go of what runs; it is taken up at the next start."""
        tasks = list(self._tasks.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _new(self, project: str, scope: str, method: str, target: Record, **more: object) -> Record:
        now = self._service.clock.now()
        name = operation_name(now)
        kind = {"z": "zoneOperations", "r": "regionOperations"}.get(scope[0], "globalOperations")
        path = f"projects/{project}/{scope}"
        body: Json = {
            "kind": "compute#operation",
            "id": numeric_id(),
            "name": name,
            "operationType": method.removeprefix("compute.").split(".")[-1],
            "targetLink": target.link,
            "targetId": target.id,
            "status": "PENDING",
            "user": USER,
            "progress": 0,
            "insertTime": stamp(now),
            "selfLink": links.url(f"{path}/operations/{name}"),
        }
        if scope != "global":
            body[scope.split("s/")[0]] = links.url(path)
        record = Record(kind, project, scope, name, body, {"at": now})
        return record.changed(**more)

    def _launch(self, record: Record) -> None:
        current = self._store.again(record)
        if current is None or record.name in self._tasks:  # the call's transaction failed
            return
        task = asyncio.get_running_loop().create_task(self._run(current))
        self._tasks[record.name] = task
        task.add_done_callback(lambda _: self._tasks.pop(record.name, None))

    async def _run(self, record: Record) -> None:
        worker = _WORKERS[record.private["work"]]
        target = str(record.body["targetLink"])
        if worker.takes_over:
            earlier = self._end_others(record, target)
            if earlier:
                await asyncio.wait(earlier)
            await self._attempt(record, worker)
            return
        turn = self._turns.setdefault(target, _Turn())
        turn.waiting += 1
        try:
            async with turn.lock:
                await self._attempt(record, worker)
        finally:
            turn.waiting -= 1
            if not turn.waiting:
                self._turns.pop(target, None)

    def _end_others(self, record: Record, target: str) -> list[asyncio.Task[None]]:
        """End what else is done with the target; returns who does the same already."""
        earlier: list[asyncio.Task[None]] = []
        own = list(self._tasks).index(record.name)
        for index, (name, task) in enumerate(list(self._tasks.items())):
            other = self._store.get(record.kind, record.project, record.scope, name)
            if other is None or index == own or other.body["targetLink"] != target:
                continue
            if other.private["work"] != record.private["work"]:
                task.cancel()
                text = "The operation was ended by the deletion of its resource."
                self._fail(other, OperationError("OPERATION_CANCELED_BY_USER", text, 409))
            elif index < own:
                earlier.append(task)
        return earlier

    async def _attempt(self, record: Record, worker: _Registered) -> None:
        try:
            await self._work(record, worker)
        except OperationError as error:
            self._fail(record, error)
        except ApiError as error:
            self._fail(record, OperationError(error.code, error.message, error.status))
        except MachineError as error:
            self._fail(record, OperationError("INTERNAL_ERROR", str(error), 500))
        except Exception as error:
            log.exception("operation %s failed", record.name)
            text = f"Internal error in localgce: {type(error).__name__}: {error}"
            self._fail(record, OperationError("INTERNAL_ERROR", text, 500))
        else:
            self._finish(record, {})

    async def _work(self, record: Record, worker: _Registered) -> None:
        rules = [Rule(**raw) for raw in record.private.get("faults", ())]
        try:
            await self._suffer(rules, "before")
            if record.body["status"] == "PENDING":
                now = stamp(self._service.clock.now())
                self.update(record, status="RUNNING", startTime=now)
            await self._call(record, worker.do)
        except Exception:
            if worker.undo is not None:
                await self._call(record, worker.undo)
            raise
        await self._suffer(rules, "after")

    async def _call(self, record: Record, worker: Worker) -> None:
        target = self._target(record)
        if target is not None:
            doing = worker(Work(self._service, record, target, record.private["args"]))
            if doing is not None:
                await doing

    def _target(self, record: Record) -> Record | None:
        kind, project, scope, name = record.private["target"]
        found = self._store.get(kind, project, scope, name)
        return found if found and found.id == record.body["targetId"] else None

    async def _suffer(self, rules: list[Rule], when: str) -> None:
        for rule in rules:
            if rule.when != when:
                continue
            if rule.kind == "slow":
                await self._service.clock.sleep(rule.seconds)
            elif rule.kind == "stuck":
                await self._service.faults.cleared.wait()
            elif rule.kind == "operation":
                raise rule.operation_error()

    def _fail(self, record: Record, error: OperationError) -> None:
        fields: dict[str, Any] = {
            "error": {"errors": [{"code": error.code, "message": error.message}]},
            "httpErrorStatusCode": error.http_status,
            "httpErrorMessage": error.http_message,
        }
        self._finish(record, fields)

    def _finish(self, record: Record, fields: dict[str, Any]) -> None:
        current = self._store.again(record)
        if current is not None and current.body["status"] != "DONE":
            now = stamp(self._service.clock.now())
            start = current.body.get("startTime", now)
            self.update(record, status="DONE", progress=100, startTime=start, endTime=now, **fields)
        event = self._done.pop(record.name, None)
        if event:
            event.set()


def _request_key(call: Call) -> list[str] | None:
    request_id = call.query.get("requestId")
    if not request_id:
        return None
    return [call.method.id, *(v for _, v in sorted(call.path.items())), str(request_id).lower()]
