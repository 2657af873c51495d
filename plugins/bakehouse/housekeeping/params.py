"""The params of runs of `housekeeping` and `revoke`: the answers of their trigger forms. Pure."""

from __future__ import annotations

from bakehouse.core.run_params import RunParams


class HousekeepingParams(RunParams):
    """The form of `housekeeping`."""

    dry_run: bool = True
    recipe: str = ""


class RevokeParams(RunParams):
    """The form of `revoke`."""

    image: str
    why: str
