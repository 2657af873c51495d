"""Run by an environment: checks a repository out as Airflow's GitDagBundle does, at a commit.

    git_bundle.py REPOSITORY BRANCH SUBDIR COMMIT

Prints the folder of the DAGs.
"""

from __future__ import annotations

import sys

from airflow.dag_processing.bundles.base import BundleVersion
from airflow.providers.git.bundles.git import GitDagBundle


def main(repository: str, branch: str, subdir: str, commit: str) -> None:
    bundle = GitDagBundle(
        name="images", repo_url=repository, tracking_ref=branch, subdir=subdir, version=commit
    )
    bundle.initialize()
    current = bundle.get_current_version()
    assert isinstance(current, BundleVersion)
    assert current.version == commit
    print(f"\n{bundle.path}")


if __name__ == "__main__":
    main(*sys.argv[1:])
