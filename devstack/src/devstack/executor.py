"""The executor of the local stack: LocalExecutor, but for a race that fails healthy tasks.

docs/decisions/0035-an-executor-that-waits-for-the-last-word.md says why.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

from airflow.executors.local_executor import LocalExecutor
from airflow.utils.state import TaskInstanceState

if TYPE_CHECKING:
    from collections.abc import Sequence

ENDED = frozenset({TaskInstanceState.SUCCESS, TaskInstanceState.FAILED})


class LastWordExecutor(LocalExecutor):
    """Tells the scheduler that a try's process has ended only when no other one of it is to come.

    A deferred task is two processes of one try with one key. If the second one starts before the
    end of the first one is reported, that end is taken for the end of the try, and the task fails:
    "finished with state success, but the task instance's state attribute is queued".
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._under_way: Counter[Any] = Counter()  # processes, by the key of their try

    def _process_workloads(self, workload_list: Sequence[Any]) -> None:
        self._under_way.update(workload.key for workload in workload_list)
        super()._process_workloads(workload_list)

    def change_state(
        self, key: Any, state: Any, info: Any = None, remove_running: bool = True
    ) -> None:
        """One process of this try has come to this state."""
        if state in ENDED and key in self._under_way:
            self._under_way[key] -= 1
            if self._under_way[key] > 0:
                self.log.info("%s ended as %s, and goes on in another process", key, state)
                return
            del self._under_way[key]
            if key in self.queued_tasks:  # all slots were taken when its turn came
                self.log.info("%s ended as %s, and waits for another process", key, state)
                self.running.discard(key)
                return
        super().change_state(key, state, info, remove_running)
