"""Every named reason: why an image was baked or not, how a builder ended, why a member was skipped.

Logs, the ledger and the history page show reasons. The text of a reason is the second half of a
sentence, after the name of the image, member or run.
"""

from __future__ import annotations

from enum import StrEnum


class Reason(StrEnum):
    """Named causes: the value is stored in the ledger, `text` is shown to people."""

    # why an image is baked
    NO_IMAGE_WITH_THIS_CONTENT = "no_image_with_this_content"
    FORCED = "forced"
    ALWAYS = "always"
    IMAGE_TOO_OLD = "image_too_old"
    OTHER_CONTENT_IS_NEWER = "other_content_is_newer"
    SECURITY_UPDATES = "security_updates"
    PACKAGE_UPDATES = "package_updates"
    UPDATES_UNKNOWN = "updates_unknown"
    # why none is baked
    SAME_CONTENT = "same_content"
    ROLLED_BACK = "rolled_back"
    # which base image a backfilled date uses
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
    # the result of a smoke test
    SMOKE_PASSED = "smoke_passed"
    SMOKE_FAILED = "smoke_failed"
    BOOT_TOO_SLOW = "boot_too_slow"
    # the result of a promotion
    PROMOTED = "promoted"
    KEPT_AS_HISTORY = "kept_as_history"
    # SLA
    SLA_MISSED = "sla_missed"
    # why a member is replaced, or is not
    NEW_IMAGE = "new_image"
    ALREADY_ON_IMAGE = "already_on_image"
    MEMBER_NOT_RUNNING = "member_not_running"
    MEMBER_MISSING = "member_missing"
    MEMBER_WITHOUT_DISK = "member_without_disk"
    MEMBER_OF_GROUP = "member_of_group"
    MEMBER_ON_HOLD = "member_on_hold"
    BOOT_DISK_NOT_REPLACEABLE = "boot_disk_not_replaceable"
    DATA_DISK_IN_USE = "data_disk_in_use"
    STAGES_REMOVED = "stages_removed"
    CANNOT_RENDER = "cannot_render"
    METADATA_AS_WANTED = "metadata_as_wanted"
    NEW_METADATA = "new_metadata"
    LINE_HALTED = "line_halted"
    # how a replacement ended
    NOT_HEALTHY = "not_healthy"
    MEMBER_LOST = "member_lost"
    NOT_REPLACED = "not_replaced"
    STAGE_FAILED = "stage_failed"
    NOT_ROLLED_BACK = "not_rolled_back"
    REJECTED = "rejected"
    NOT_APPROVED = "not_approved"
    STOPPED = "stopped"
    CUT_SHORT = "cut_short"
    # why a rollout is skipped
    NOT_ASKED_FOR = "not_asked_for"
    BACKFILL = "backfill"
    NOTHING_TO_REPLACE = "nothing_to_replace"
    FLEET_BUSY = "fleet_busy"
    # what a rollout or a promotion waits for
    FROZEN = "frozen"
    OUTSIDE_WINDOW = "outside_window"
    GATE_CLOSED = "gate_closed"
    HOLD_ENDED = "hold_ended"
    NEEDS_APPROVAL = "needs_approval"
    # how the formats of a fleet's data were finalised
    FINALISED = "finalised"
    NOT_FINALISED = "not_finalised"
    # why an image is retired
    NOT_KEPT = "not_kept"
    REVOKED = "revoked"
    REVOKED_BASE = "revoked_base"
    # why an image is not retired, or not yet
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
    # why a leftover is deleted
    RUN_ENDED = "run_ended"
    EXPIRED = "expired"
    # why it is not deleted, or not yet
    RUN_GOING_ON = "run_going_on"
    RUN_UNKNOWN = "run_unknown"
    KEPT_FOR_A_LOOK = "kept_for_a_look"
    ATTACHED = "attached"
    NOT_READY = "not_ready"
    HALF_PROMOTED = "half_promoted"
    MEMBER_NEEDS_IT = "member_needs_it"
    UNUSED_NOT_LONG = "unused_not_long"
    ONLY_WAY_BACK = "only_way_back"
    # what drift reports of a member
    MEMBER_ILL = "member_ill"
    BEHIND = "behind"
    RUNS_REVOKED = "runs_revoked"
    STRAYED = "strayed"
    MEMBER_DIFFERS = "member_differs"
    # what a look at a fleet, or at the archives, has found
    MEMBERS_LISTED = "members_listed"
    FIXES_MISSING = "fixes_missing"
    NO_FIX_MISSING = "no_fix_missing"
    FIXES_UNKNOWN = "fixes_unknown"
    FIX_TOO_OLD = "fix_too_old"
    # holds of a fleet
    HELD = "held"
    HOLD_RELEASED = "hold_released"

    @property
    def text(self) -> str:
        """The text that people read."""
        return _TEXT[self]


_TEXT = {
    Reason.NO_IMAGE_WITH_THIS_CONTENT: "no promoted image has this content",
    Reason.FORCED: "the trigger form requests it",
    Reason.ALWAYS: "the recipe sets rebake: always",
    Reason.IMAGE_TOO_OLD: "the promoted image is older than the recipe's max_age",
    Reason.SECURITY_UPDATES: "packages of the promoted image have security updates",
    Reason.PACKAGE_UPDATES: "packages of the promoted image have updates",
    Reason.UPDATES_UNKNOWN: "updates of the promoted image are unknown: an index was unreadable",
    Reason.OTHER_CONTENT_IS_NEWER: "the newest promoted image has other content than this commit",
    Reason.SAME_CONTENT: "a promoted image has the same content",
    Reason.ROLLED_BACK: "a rollout went back from the image with this content: change the recipe,"
    " or force a bake",
    Reason.NEWEST_BASE: "it is the newest image now",
    Reason.BASE_OF_THAT_DATE: "it was the newest image on that date",
    Reason.BASE_OF_THAT_DATE_GONE: "no image of that date exists any more; this is the oldest one",
    Reason.FINISHED: "the install script succeeded and the VM powered off",
    Reason.INSTALL_FAILED: "the install script failed",
    Reason.STOPPED_SILENTLY: "the VM stopped without reporting a result",
    Reason.STOPPED_BY_SOMEBODY: "somebody stopped the VM",
    Reason.PREEMPTED: "the spot VM was preempted",
    Reason.HOST_LOST: "the VM's host failed",
    Reason.VANISHED: "the VM was deleted by somebody else",
    Reason.SILENT: "the VM reported no result before its deadline",
    Reason.RUN_TIME_OVER: "Compute Engine stopped the VM after its max_run_minutes",
    Reason.SMOKE_PASSED: "every check of the smoke test passed",
    Reason.SMOKE_FAILED: "a check of the smoke test failed",
    Reason.BOOT_TOO_SLOW: "the VM was not healthy within boot_time_limit",
    Reason.PROMOTED: "the smoke test passed",
    Reason.KEPT_AS_HISTORY: "images of a backfill get no family",
    Reason.SLA_MISSED: "the task had not succeeded within its SLA",
    Reason.NEW_IMAGE: "the fleet moves to a new image",
    Reason.ALREADY_ON_IMAGE: "its boot disk was created from this image",
    Reason.MEMBER_NOT_RUNNING: "somebody has stopped the instance",
    Reason.MEMBER_MISSING: "no instance of this name exists",
    Reason.MEMBER_WITHOUT_DISK: "it has no boot disk, and no disk records which one it had",
    Reason.MEMBER_OF_GROUP: "a managed instance group has created it, and would recreate it as"
    " soon as a rollout stops it: change the group's template instead",
    Reason.MEMBER_ON_HOLD: "it has the label bakehouse-hold",
    Reason.BOOT_DISK_NOT_REPLACEABLE: "a rollout cannot replace its boot disk and attach it again",
    Reason.DATA_DISK_IN_USE: "it is missing, and its data disk is attached to another instance",
    Reason.STAGES_REMOVED: "its stage was removed from the fleet's file during the rollout, so that"
    " it was not moved",
    Reason.CANNOT_RENDER: "its image cannot render its files again while it runs: it is of an older"
    " version, or has reported nothing; roll an image out instead",
    Reason.METADATA_AS_WANTED: "its metadata are as they are wanted",
    Reason.NEW_METADATA: "the fleet gets other metadata",
    Reason.LINE_HALTED: "another member did not become healthy, so this one was not changed",
    Reason.NOT_HEALTHY: "the member did not become healthy on the new image",
    Reason.MEMBER_LOST: "the instance was deleted or recreated, or somebody else manages it",
    Reason.STAGE_FAILED: "a stage failed, so what it had changed went back to the image it had",
    Reason.NOT_REPLACED: "an error kept the member from moving to the image",
    Reason.NOT_ROLLED_BACK: "an error keeps the member from returning to what it had",
    Reason.REJECTED: "a person rejected it, so what it had changed went back to the image it had",
    Reason.STOPPED: "somebody has ended the run: each member stays as it was then",
    Reason.CUT_SHORT: "its run is over, and has not said how the rollout ended",
    Reason.NOT_APPROVED: "nobody approved it in time",
    Reason.NOT_ASKED_FOR: "the trigger form does not request it",
    Reason.BACKFILL: "a backfill changes no fleet",
    Reason.NOTHING_TO_REPLACE: "every member runs the image already, or is skipped",
    Reason.FLEET_BUSY: "another rollout of this fleet did not end within wait_for_fleet",
    Reason.FROZEN: "the Variable bakehouse_freeze is set",
    Reason.OUTSIDE_WINDOW: "no window of the fleet is open",
    Reason.GATE_CLOSED: "the member, or a check of the fleet, does not agree to its stop",
    Reason.HOLD_ENDED: "nothing holds it any more",
    Reason.NEEDS_APPROVAL: "a person must approve the next stage",
    Reason.FINALISED: "a person has approved it, after the whole fleet had soaked on one image",
    Reason.NOT_FINALISED: "a person has approved it, and the member did not carry it out",
    Reason.NOT_KEPT: "it exceeds the limits of the recipe's image.keep",
    Reason.REVOKED: "it is revoked and must not be used any more",
    Reason.REVOKED_BASE: "it is built on a revoked image",
    Reason.FAMILYS_NEWEST: "it is the newest image of its family",
    Reason.WITHIN_KEEP: "the recipe's image.keep keeps it",
    Reason.GRACE: "the grace period of its current state is not over",
    Reason.PINNED: "it has the label bakehouse-pin",
    Reason.RECIPE_GONE: "its recipe file was deleted, so its retention is unknown",
    Reason.RECIPE_BROKEN: "its recipe file has mistakes, so its retention is unknown",
    Reason.USED_BY_INSTANCE: "an instance uses it",
    Reason.USED_BY_DISK: "a disk was created from it",
    Reason.USED_BY_TEMPLATE: "an instance template uses it",
    Reason.USED_BY_GROUP: "an instance group creates its members from it",
    Reason.USED_BY_MACHINE_IMAGE: "a machine image contains it",
    Reason.USED_BY_IMAGE: "another image is built on it",
    Reason.USED_BY_RECIPE: "a recipe uses it as its base",
    Reason.WAY_BACK: "a member ran it before its last rollout and may be rolled back to it",
    Reason.ROLLOUT_GOING_ON: "a rollout in progress may need it",
    Reason.RUN_ENDED: "the run that created it has ended",
    Reason.EXPIRED: "the time in its label expires has passed",
    Reason.RUN_GOING_ON: "the run that created it is in progress",
    Reason.RUN_UNKNOWN: "Airflow does not know its run, and its label expires has not passed",
    Reason.KEPT_FOR_A_LOOK: "it failed and is kept for inspection until it expires",
    Reason.ATTACHED: "it is attached to an instance that is not deleted",
    Reason.NOT_READY: "it is being created or deleted",
    Reason.HALF_PROMOTED: "it has its family but not its label: clear promote_image of its run",
    Reason.MEMBER_NEEDS_IT: "its member has no boot disk, and this disk may be attached again",
    Reason.UNUSED_NOT_LONG: "it has been unused for less than a week",
    Reason.ONLY_WAY_BACK: "nothing can make this disk again, and the rollout that took it out did"
    " not end well; delete it by hand when nobody needs it any more",
    Reason.MEMBER_ILL: "the member is reported unhealthy, or has stopped to report",
    Reason.BEHIND: "the member does not run the newest promoted image",
    Reason.STRAYED: "the member does not run the image of its fleet's last rollout",
    Reason.MEMBER_DIFFERS: "the member differs from the template of its fleet",
    Reason.MEMBERS_LISTED: "these members exist, each with the image of its boot disk",
    Reason.FIXES_MISSING: "the archives have security updates that the image lacks",
    Reason.NO_FIX_MISSING: "the archives have no security update that the image lacks",
    Reason.FIXES_UNKNOWN: "missing security updates are unknown: an index was unreadable",
    Reason.FIX_TOO_OLD: "a member has lacked a security update for more than max_days_since_fix",
    Reason.HELD: "a person has rolled the fleet back from it; it stays out until a person releases"
    " it, or a newer image replaces it",
    Reason.HOLD_RELEASED: "a person has released the hold of the fleet",
    Reason.RUNS_REVOKED: "the member runs a revoked image, or one built on a revoked image",
}
