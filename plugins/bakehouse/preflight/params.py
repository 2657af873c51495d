"""The params of runs of `check_setup`: the answers of its trigger form. Pure."""

from __future__ import annotations

from bakehouse.core.run_params import RunParams


class CheckSetupParams(RunParams):
    """The form of `check_setup`."""

    connection: str = "google_cloud_default"
    repository: str = "bakehouse_repo"
