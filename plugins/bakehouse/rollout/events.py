"""The events of the triggers of a rollout. Pure."""

from __future__ import annotations

from pydantic import AwareDatetime, Field

from bakehouse.core.models import Frozen
from bakehouse.rollout.orders import Answer
from bakehouse.rollout.plan_parts import GateAnswer
from bakehouse.rollout.second_try import Cause
from bakehouse.rollout.states import State


class SwapEnded(Frozen):
    """A swap has ended: the final state of its member, or the error."""

    state: State | None = None
    why: str
    seconds: float | None = None
    transient: bool = False  # another try may go on from here
    held: bool = False  # before the stop something has begun to hold it: the task waits
    closed: str = Field(default="", description="why a gate is closed: the task waits")
    opened: bool = Field(default=False, description="a gate that was closed is open: ask the rest")
    cause: Cause | None = None
    disk: str = ""  # the boot disk of the last try; empty in what older versions have stored
    first_try: str = ""  # how the first one ended, if there was a second


class MovedInstance(Frozen):
    """An instance of a group that has the template of a move."""

    name: str
    id: str
    why: str = Field(default="", description="what it has reported, unless it is healthy")
    zone: str = Field(default="", description="empty in what older versions have stored")


class GroupMoved(Frozen):
    """The move of a group has ended: its final state, or the error."""

    state: State | None = None
    why: str
    seconds: float | None = None
    transient: bool = False  # another try may go on from here
    held: bool = False  # before the next instances something has begun to hold it: the task waits
    cause: Cause | None = None
    first_try: str = ""  # of the instances that were recreated once more
    instances: tuple[MovedInstance, ...] = ()


class GatesAnswered(Frozen):
    """What the gates say that a plan has asked."""

    at: AwareDatetime
    answers: tuple[GateAnswer, ...] = ()


class MemberFailed(Frozen):
    """A member that did not stay healthy, and why."""

    member: str
    why: str


class SurveyEnded(Frozen):
    """The members of fleets that are ill or have stopped to report, as `zone/name` -> why."""

    ill: dict[str, str] = Field(default={})
    unread: str = Field(default="", description="why some reports could not be read")


class MembersAnswered(Frozen):
    """What members have answered to an order, and why others have not."""

    answers: dict[str, Answer] = Field(default={})
    silent: dict[str, str] = Field(default={})


class SoakEnded(Frozen):
    """A watch of members has ended: at its time with all healthy, or before it."""

    failed: tuple[MemberFailed, ...] = ()
    error: str = ""  # the members could not be watched any more; another try may
