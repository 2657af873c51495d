"""Every reason by name: why something was baked or not, how a builder ended, what was promoted.

A reason is what log, ledger and history page show; its text is a sentence's second half.
"""

from __future__ import annotations

from enum import StrEnum


class Reason(StrEnum):
    """Named causes; the value is what is stored, `text` what people read."""

    # why an image is baked
    NO_IMAGE_WITH_THIS_CONTENT = "no_image_with_this_content"
    FORCED = "forced"
    ALWAYS = "always"
    IMAGE_TOO_OLD = "image_too_old"
    OTHER_CONTENT_IS_NEWER = "other_content_is_newer"
    SECURITY_UPDATES = "security_updates"
    PACKAGE_UPDATES = "package_updates"
    UPDATES_UNKNOWN = "updates_unknown"
    # why none is
    SAME_CONTENT = "same_content"
    # which base image a date of the past gets
    NEWEST_BASE = "newest_base"
    BASE_OF_THAT_DATE = "base_of_that_date"
    BASE_OF_THAT_DATE_GONE = "base_of_that_date_gone"
    # how a builder ended
    FINISHED = "finished"
    INSTALL_FAILED = "install_failed"
    STOPPED_SILENTLY = "stopped_silently"
    STOPPED_BY_SOMEBODY = "stopped_by_somebody"
    PREEMPTED = "preempted"
    HOST_LOST = "host_lost"
    VANISHED = "vanished"
    SILENT = "silent"
    RUN_TIME_OVER = "run_time_over"
    # how a candidate fared
    SMOKE_PASSED = "smoke_passed"
    SMOKE_FAILED = "smoke_failed"
    BOOT_TOO_SLOW = "boot_too_slow"
    # where an image went
    PROMOTED = "promoted"
    KEPT_AS_HISTORY = "kept_as_history"
    # lateness
    SLA_MISSED = "sla_missed"
    # why a member of a fleet is replaced, or is not
    NEW_IMAGE = "new_image"
    ALREADY_ON_IMAGE = "already_on_image"
    MEMBER_NOT_RUNNING = "member_not_running"
    MEMBER_MISSING = "member_missing"
    MEMBER_WITHOUT_DISK = "member_without_disk"
    LINE_HALTED = "line_halted"
    # how a replacement ended
    NOT_HEALTHY = "not_healthy"
    MEMBER_LOST = "member_lost"
    STAGE_FAILED = "stage_failed"
    # why there is no rollout
    NOT_ASKED_FOR = "not_asked_for"
    BACKFILL = "backfill"
    NOTHING_TO_REPLACE = "nothing_to_replace"
    FLEET_BUSY = "fleet_busy"
    # why an image is retired
    NOT_KEPT = "not_kept"
    REVOKED = "revoked"
    REVOKED_BASE = "revoked_base"
    # why one is not, or not yet
    FAMILYS_NEWEST = "familys_newest"
    WITHIN_KEEP = "within_keep"
    GRACE = "grace"
    PINNED = "pinned"
    RECIPE_GONE = "recipe_gone"
    RECIPE_BROKEN = "recipe_broken"
    USED_BY_INSTANCE = "used_by_instance"
    USED_BY_DISK = "used_by_disk"
    USED_BY_TEMPLATE = "used_by_template"
    USED_BY_GROUP = "used_by_group"
    USED_BY_MACHINE_IMAGE = "used_by_machine_image"
    USED_BY_IMAGE = "used_by_image"
    USED_BY_RECIPE = "used_by_recipe"
    WAY_BACK = "way_back"
    ROLLOUT_GOING_ON = "rollout_going_on"
    # why something left behind is swept
    RUN_ENDED = "run_ended"
    EXPIRED = "expired"
    # why it is not, or not yet
    RUN_GOING_ON = "run_going_on"
    RUN_UNKNOWN = "run_unknown"
    KEPT_FOR_A_LOOK = "kept_for_a_look"
    ATTACHED = "attached"
    NOT_READY = "not_ready"
    HALF_PROMOTED = "half_promoted"
    MEMBER_NEEDS_IT = "member_needs_it"
    UNUSED_NOT_LONG = "unused_not_long"
    # where a member stands
    BEHIND = "behind"
    RUNS_REVOKED = "runs_revoked"

    @property
    def text(self) -> str:
        """What a person reads."""
        return _TEXT[self]


_TEXT = {
    Reason.NO_IMAGE_WITH_THIS_CONTENT: "no promoted image has this content",
    Reason.FORCED: "the trigger form asks for it",
    Reason.ALWAYS: "the recipe says rebake: always",
    Reason.IMAGE_TOO_OLD: "the promoted image is older than the recipe's max_age",
    Reason.SECURITY_UPDATES: "packages of the promoted image have security updates",
    Reason.PACKAGE_UPDATES: "packages of the promoted image have updates",
    Reason.UPDATES_UNKNOWN: "it cannot be told whether the promoted image has updates",
    Reason.OTHER_CONTENT_IS_NEWER: "the newest promoted image has other content than this commit",
    Reason.SAME_CONTENT: "a promoted image has exactly this content",
    Reason.NEWEST_BASE: "it is the newest now",
    Reason.BASE_OF_THAT_DATE: "it was the newest then",
    Reason.BASE_OF_THAT_DATE_GONE: "no image of that date is left, this is the oldest there is",
    Reason.FINISHED: "the install script succeeded and the machine powered off",
    Reason.INSTALL_FAILED: "the install script failed",
    Reason.STOPPED_SILENTLY: "the machine stopped without saying whether it succeeded",
    Reason.STOPPED_BY_SOMEBODY: "somebody stopped the machine",
    Reason.PREEMPTED: "the spot machine was preempted",
    Reason.HOST_LOST: "Compute Engine lost the machine's host",
    Reason.VANISHED: "the machine was deleted by somebody else",
    Reason.SILENT: "the machine said nothing until its deadline",
    Reason.RUN_TIME_OVER: "Compute Engine ended the machine after its max_run_minutes",
    Reason.SMOKE_PASSED: "every check of the smoke test passed",
    Reason.SMOKE_FAILED: "a check of the smoke test failed",
    Reason.BOOT_TOO_SLOW: "the machine was not ready within boot_time_limit",
    Reason.PROMOTED: "the smoke test passed",
    Reason.KEPT_AS_HISTORY: "a backfill never moves a family",
    Reason.SLA_MISSED: "the task had not succeeded when its SLA passed",
    Reason.NEW_IMAGE: "the fleet moves to a new image",
    Reason.ALREADY_ON_IMAGE: "its boot disk is made from this very image",
    Reason.MEMBER_NOT_RUNNING: "somebody has stopped the instance",
    Reason.MEMBER_MISSING: "there is no instance of this name",
    Reason.MEMBER_WITHOUT_DISK: "it has no boot disk, and nothing says which one it had",
    Reason.LINE_HALTED: "another member did not get healthy, so this one was not touched",
    Reason.NOT_HEALTHY: "the member did not get healthy on the new image",
    Reason.MEMBER_LOST: "the instance is gone, another one, or in other hands",
    Reason.STAGE_FAILED: "a stage failed, and everything goes back to the image it had",
    Reason.NOT_ASKED_FOR: "the trigger form does not ask for it",
    Reason.BACKFILL: "a backfill never moves a fleet",
    Reason.NOTHING_TO_REPLACE: "every member is on the image, or is left alone",
    Reason.FLEET_BUSY: "another rollout of this fleet did not end in time",
    Reason.NOT_KEPT: "it is beyond what the recipe's image.keep keeps",
    Reason.REVOKED: "it is revoked, so nothing may be made of it any more",
    Reason.REVOKED_BASE: "it is built upon a revoked image",
    Reason.FAMILYS_NEWEST: "it is the newest of its family",
    Reason.WITHIN_KEEP: "the recipe's image.keep keeps it",
    Reason.GRACE: "its time at this stage is not over",
    Reason.PINNED: "somebody has given it the label bakehouse-pin",
    Reason.RECIPE_GONE: "the recipe has no file any more, so nobody says how long to keep it",
    Reason.RECIPE_BROKEN: "the recipe's file has mistakes, so nobody says how long to keep it",
    Reason.USED_BY_INSTANCE: "an instance runs on it",
    Reason.USED_BY_DISK: "a disk was made from it",
    Reason.USED_BY_TEMPLATE: "an instance template names it",
    Reason.USED_BY_GROUP: "an instance group makes its members from it",
    Reason.USED_BY_MACHINE_IMAGE: "a machine image holds it",
    Reason.USED_BY_IMAGE: "another image is built upon it",
    Reason.USED_BY_RECIPE: "a recipe names it as its base",
    Reason.WAY_BACK: "a member had it before its last rollout, and may go back",
    Reason.ROLLOUT_GOING_ON: "a rollout is going on, and may need it",
    Reason.RUN_ENDED: "the run that made it has ended",
    Reason.EXPIRED: "its time (the label expires) is over",
    Reason.RUN_GOING_ON: "the run that made it goes on",
    Reason.RUN_UNKNOWN: "Airflow does not know the run that made it, and its time is not over",
    Reason.KEPT_FOR_A_LOOK: "it failed, and is kept for a look until it expires",
    Reason.ATTACHED: "it is attached to an instance that stays",
    Reason.NOT_READY: "it is being made, or deleted",
    Reason.HALF_PROMOTED: "it has its family but not its label: clear promote_image of its run",
    Reason.MEMBER_NEEDS_IT: "its member has no boot disk, and this one may be put back",
    Reason.UNUSED_NOT_LONG: "nothing has used it for less than a week",
    Reason.BEHIND: "the member does not run the newest promoted image",
    Reason.RUNS_REVOKED: "the member runs a revoked image, or one built upon it",
}
