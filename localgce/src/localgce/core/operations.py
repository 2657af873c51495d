"""Long-running operations.

An operation is begun in the transaction of its request, runs in a task of its own, and is resumed
after a restart of the server. What it does is decided by an operation handler, which is registered
by name. A handler must be idempotent: the server can be killed between any two of its steps, and
runs it again from the start.
"""

from __future__ import annotations

import asyncio
import contextlib
import inspect
import logging
from collections.abc import Awaitable, Callable
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from localgce.core import links
from localgce.core.clock import timestamp
from localgce.core.errors import ApiError, Json, MachineError, OperationError
from localgce.core.faults import Rule
from localgce.core.ids import numeric_id, operation_name
from localgce.core.operation_types import operation_type
from localgce.core.store import Record

if TYPE_CHECKING:
    from localgce.core.clock import Clock
    from localgce.core.faults import Faults
    from localgce.core.store import Store

log = logging.getLogger("localgce")
USER = "localgce@localhost"
SYSTEM = "system@google.com"
KINDS = ("zoneOperations", "regionOperations", "globalOperations")
_LONGEST_AGENT = 1_000
RETENTION_SECONDS = 14 * 24 * 3600


@dataclass(frozen=True)
class Origin:
    """Which request began an operation.

    `request_key` identifies a client's request across retries with the same requestId.
    """

    method: str  # compute.instances.insert
    request_id: str | None = None
    request_key: tuple[str, ...] | None = None
    faults: tuple[Rule, ...] = ()
    agent: str = ""  # the client's User-Agent; empty: localgce itself, such as a group


@dataclass(frozen=True)
class Task:
    """What an operation handler is given: the operation, its target and its arguments."""

    operations: Operations
    operation: Record
    target: Record
    args: Json

    def progress(self, percent: int) -> None:
        """Show the progress."""
        self.operations.update(self.operation, progress=percent)

    def warn(self, code: str, message: str) -> None:
        """Add a warning to the operation."""
        warning = {"code": code, "message": message, "data": []}
        self.operations.update(self.operation, warnings=[warning])


Handler = Callable[[Task], Awaitable[None] | None]


@dataclass(frozen=True)
class Registration:
    """How an operation of one name is handled.

    `undo` cleans up after a failure. `deletes` says that the operation removes its target, so that
    a missing target means success. `preempts` cancels what other operations do with the target
    instead of waiting for them. `version` is that of the arguments: an operation that was persisted
    with another version is not resumed.
    """

    run: Handler
    undo: Handler | None = None
    deletes: bool = False
    preempts: bool = False
    version: int = 1


@dataclass
class _Queue:
    """The operations of one target, which run one after another."""

    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    waiting: int = 0


class Operations:
    """All operations of the server."""

    def __init__(self, store: Store, clock: Clock, faults: Faults) -> None:
        """Start without handlers; `register` adds them before `load`."""
        self._store = store
        self._clock = clock
        self._faults = faults
        self._handlers: dict[str, Registration] = {}
        self._queues: dict[str, _Queue] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._done: dict[str, asyncio.Event] = {}
        self._requests: dict[tuple[str, ...], Record] = {}

    def register(
        self,
        name: str,
        run: Handler,
        *,
        undo: Handler | None = None,
        deletes: bool = False,
        preempts: bool = False,
        version: int = 1,
    ) -> None:
        """Register the handler of an operation; the name is persisted with the operation."""
        if name in self._handlers:
            raise ValueError(f"the operation handler {name} is registered twice")
        self._handlers[name] = Registration(run, undo, deletes, preempts, version)

    def load(self) -> None:
        """Read the persisted operations: fail those that cannot be resumed, drop the old ones."""
        now = self._clock.now()
        for kind in KINDS:
            for record in self._store.all(kind):
                if record.private.get("request"):
                    self._requests[tuple(record.private["request"])] = record
                if record.body["status"] != "DONE":
                    self._fail_unless_resumable(record)
                elif now - record.private["at"] > RETENTION_SECONDS:
                    self.forget(record)

    def resume(self) -> None:
        """Run the operations that a kill interrupted."""
        for kind in KINDS:
            for record in self._store.all(kind):
                if record.body["status"] != "DONE":
                    self._launch(record)

    def begin(self, origin: Origin, scope: str, target: Record, handler: str, args: Json) -> Record:
        """Create the operation; its handler runs once the request's transaction is committed."""
        version = self._handlers[handler].version
        record = self._new(
            target.project, scope, origin.method, target, clientOperationId=origin.request_id
        ).kept(
            work=handler,
            args=args,
            target=[target.kind, target.project, target.scope, target.name],
            faults=[asdict(rule) for rule in origin.faults],
            agent=origin.agent[:_LONGEST_AGENT],
            request=list(origin.request_key) if origin.request_key else None,
            **({"version": version} if version != 1 else {}),
        )
        self._store.put(record)
        if origin.request_key:
            self._requests[origin.request_key] = record
        asyncio.get_running_loop().call_soon(self._launch, record)
        return record

    def show_target(self, operation: Record, link: str, target_id: str) -> Record:
        """Show another target than the record that the operation works on."""
        kept = operation.kept(target_id=operation.body["targetId"])
        return self._store.put(kept.changed(targetLink=link, targetId=target_id))

    def repeated(self, request_key: tuple[str, ...] | None) -> Record | None:
        """The operation that an earlier request with the same requestId began."""
        earlier = self._requests.get(request_key) if request_key else None
        return self._store.again(earlier) if earlier else None

    def system(self, target: Record, operation_type: str, message: str) -> Record:
        """Record an operation of Compute Engine itself: it is DONE and has no caller."""
        now = timestamp(self._clock.now())
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
        self._store.put_best_effort(done)
        return done

    def update(self, record: Record, **fields: object) -> None:
        """Change what the operation shows."""
        current = self._store.again(record)
        if current is not None:
            self._store.put_best_effort(current.changed(**fields))

    def busy(self, target: Record) -> bool:
        """Whether an operation on the target is not yet DONE."""
        return any(
            record.body["status"] != "DONE" and record.body["targetId"] == target.id
            for kind in KINDS
            for record in self._store.all(kind, target.project, target.scope)
        )

    async def wait(self, record: Record, seconds: float) -> Record:
        """The operation once it is DONE, or its current state after `seconds` of real time."""
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
        """Cancel the running handlers; the next start resumes them."""
        tasks = list(self._tasks.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _new(self, project: str, scope: str, method: str, target: Record, **more: object) -> Record:
        now = self._clock.now()
        name = operation_name(now)
        kind = {"z": "zoneOperations", "r": "regionOperations"}.get(scope[0], "globalOperations")
        path = f"projects/{project}/{scope}"
        body: Json = {
            "kind": "compute#operation",
            "id": numeric_id(),
            "name": name,
            "operationType": operation_type(method),
            "targetLink": target.link,
            "targetId": target.id,
            "status": "PENDING",
            "user": USER,
            "progress": 0,
            "insertTime": timestamp(now),
            "startTime": timestamp(now),  # there from the first answer on, while PENDING too
            "selfLink": links.url(f"{path}/operations/{name}"),
        }
        if scope != "global":
            body[scope.split("s/")[0]] = links.url(path)
        record = Record(kind, project, scope, name, body, {"at": now})
        return record.changed(**more)

    def _fail_unless_resumable(self, record: Record) -> None:
        try:
            self._check_resumable(record.private)
        except OperationError as error:
            log.error("operation %s is not resumed: %s", record.name, error.message)
            self._fail(record, error)

    def _check_resumable(self, private: Json) -> None:
        """Raise OperationError for what this version of localgce cannot run."""
        name = private.get("work")
        handler = self._handlers.get(name) if isinstance(name, str) else None
        if handler is None:
            raise _not_resumable(f"it has no handler '{name}'")
        version = private.get("version", 1)
        if version != handler.version:
            text = f"its handler '{name}' has version {handler.version}, not {version}"
            raise _not_resumable(text)
        if not isinstance(private.get("args"), dict):
            raise _not_resumable(f"the arguments of '{name}' are unreadable")
        target = private.get("target")
        if not (
            isinstance(target, list)
            and len(target) == 4
            and all(isinstance(part, str) for part in target)
        ):
            raise _not_resumable(f"the target of '{name}' is unreadable")
        try:
            _rules(private)
        except TypeError:
            raise _not_resumable(f"the faults of '{name}' are unreadable") from None

    def _launch(self, record: Record) -> None:
        current = self._store.again(record)
        if current is None or record.name in self._tasks:  # the request's transaction failed
            return
        task = asyncio.get_running_loop().create_task(self._run(current))
        self._tasks[record.name] = task
        task.add_done_callback(lambda _: self._tasks.pop(record.name, None))

    async def _run(self, record: Record) -> None:
        handler = self._handlers[record.private["work"]]
        target = str(record.body["targetLink"])
        if handler.preempts:
            earlier = self._cancel_others(record, target)
            if earlier:
                await asyncio.wait(earlier)
            await self._attempt(record, handler)
            return
        queue = self._queues.setdefault(target, _Queue())
        queue.waiting += 1
        try:
            async with queue.lock:
                await self._attempt(record, handler)
        finally:
            queue.waiting -= 1
            if not queue.waiting:
                self._queues.pop(target, None)

    def _cancel_others(self, record: Record, target: str) -> list[asyncio.Task[None]]:
        """Cancel other operations on the target; returns earlier ones of the same handler."""
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

    async def _attempt(self, record: Record, handler: Registration) -> None:
        try:
            await self._handle(record, handler)
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

    async def _handle(self, record: Record, handler: Registration) -> None:
        rules = _rules(record.private)
        try:
            await self._apply(rules, "before")
            if record.body["status"] == "PENDING":
                now = timestamp(self._clock.now())
                self.update(record, status="RUNNING", startTime=now)
            target = self._target(record)
            if target is None and not handler.deletes:
                path = "/".join(record.private["target"][1:3])
                text = f"The resource '{path}/{record.private['target'][3]}' was not found"
                raise OperationError("RESOURCE_NOT_FOUND", text, 404)
            await self._call(record, target, handler.run)
        except Exception:
            if handler.undo is not None:
                await self._call(record, self._target(record), handler.undo)
            raise
        await self._apply(rules, "after")

    async def _call(self, record: Record, target: Record | None, handler: Handler) -> None:
        if target is None:
            return
        result = handler(Task(self, record, target, record.private["args"]))
        if inspect.isawaitable(result):
            await result

    def _target(self, record: Record) -> Record | None:
        kind, project, scope, name = record.private["target"]
        found = self._store.get(kind, project, scope, name)
        known = record.private.get("target_id", record.body["targetId"])
        return found if found and found.id == known else None

    async def _apply(self, rules: list[Rule], when: str) -> None:
        for rule in rules:
            if rule.when != when:
                continue
            if rule.kind == "slow":
                await self._clock.sleep(rule.seconds)
            elif rule.kind == "stuck":
                await self._faults.cleared.wait()
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
            now = timestamp(self._clock.now())
            start = current.body.get("startTime", now)
            self.update(record, status="DONE", progress=100, startTime=start, endTime=now, **fields)
        event = self._done.pop(record.name, None)
        if event:
            event.set()


def _rules(private: Json) -> list[Rule]:
    return [Rule(**raw) for raw in private.get("faults") or ()]


def _not_resumable(reason: str) -> OperationError:
    text = f"This version of localgce cannot resume the operation of an earlier server: {reason}."
    return OperationError("UNSUPPORTED_OPERATION", text)
