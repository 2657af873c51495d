"""Where the API server reads: the ledger, Compute Engine, the repository, Airflow's own tables."""

from __future__ import annotations

import logging
import re
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from bakehouse.bake.recipe_source import GIT
from bakehouse.recipe.git.open import is_remote

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence

    from bakehouse.history.attestations import Attestations
    from bakehouse.history.events import LedgerEvent
    from bakehouse.history.ledger import Ledger
    from bakehouse.history.signing_keys import Trust
    from bakehouse.images.attestation import ImageFacts

CONNECTION = "google_cloud_default"
COMMIT_URL = "bakehouse_commit_url"
"""The Variable with the address of a commit's web page: `https://git.example.com/images/{sha}`."""
_SSH = re.compile(r"(?:ssh://)?(?:[\w.-]+@)?([\w.-]+)[:/](.+)")
_SHA = re.compile(r"[0-9a-f]{7,40}")

log = logging.getLogger(__name__)


@cache
def ledger_at(url: str) -> Ledger:
    """The ledger, kept between reads."""
    from bakehouse.history.ledger import Ledger

    return Ledger(url)


def read_events() -> Sequence[LedgerEvent]:
    """Read all events; raises whatever the store raises where it cannot be read."""
    from airflow.sdk import ObjectStoragePath

    from bakehouse.history.location import ledger_url

    url = ledger_url()
    if not ObjectStoragePath(url).exists():
        raise FileNotFoundError(url)
    return ledger_at(url).events()


def list_images() -> list[dict[str, Any]]:
    """List the images of Bakehouse, of both kinds, with one call each."""
    from bakehouse.cloud.compute_hook import hook_of
    from bakehouse.images.labels import OURS

    hook = hook_of(CONNECTION)
    return [*hook.images(OURS), *hook.machine_images(OURS)]


class SignedStates:
    """Says of images whether they are as they were signed: image name -> its state.

    Of promoted ones all that is signed without another read; of failed candidates the verdict.

    The statements are kept between calls, for as long as the same keys are trusted.
    """

    def __init__(self) -> None:
        self._known: tuple[str, Trust, Attestations] | None = None

    def __call__(self, images: Sequence[Mapping[str, Any]]) -> dict[str, str]:
        """Raises PermanentError where the keys cannot be read; Cloud KMS is not asked."""
        from bakehouse.history.attestations import Attestations
        from bakehouse.history.location import ledger_url
        from bakehouse.history.signing_keys import read_trust
        from bakehouse.images import labels
        from bakehouse.images.attestation import facts_of
        from bakehouse.images.links import labels_of

        def facts(states: Collection[str]) -> list[ImageFacts]:
            of_these = (one for one in images if labels_of(one).get(labels.STATE) in states)
            return [facts_of(dict(one)) for one in of_these]

        promoted, failed = facts(labels.FINAL), facts({labels.FAILED})
        if not promoted and not failed:
            return {}
        ledger, trust = ledger_url(), read_trust(gcp_conn_id=None)
        if self._known is None or self._known[:2] != (ledger, trust):
            self._known = (ledger, trust, Attestations(ledger, trust))
        known = self._known[2]
        verdicts = [*known.verdicts(promoted).values(), *known.failed_verdicts(failed).values()]
        return {verdict.image: verdict.state.value for verdict in verdicts}


def commit_urls() -> Callable[[str], str | None]:
    """Return how the address of a commit is made: by the Variable, else from the repository's."""
    from airflow.sdk import BaseHook, Variable

    pattern = ""
    try:
        pattern = str(Variable.get(COMMIT_URL, default=""))
        if not pattern:
            pattern = pattern_of(BaseHook.get_connection(GIT).host or "")
    except Exception as unknown:  # the page then shows hashes without links
        log.debug("the address of the repository is unknown: %s", unknown)
    return lambda sha: commit_page(pattern, sha)


def commit_page(pattern: str, sha: str) -> str | None:
    """Return the address of a commit; None where it would be no web page.

    >>> commit_page("https://github.com/a/b/commit/{sha}", "abcdef1")
    'https://github.com/a/b/commit/abcdef1'
    """
    if not (pattern.startswith(("https://", "http://")) and _SHA.fullmatch(sha)):
        return None
    return pattern.replace("{sha}", sha)


def pattern_of(repository: str) -> str:
    """Return the pattern of a repository's commits; empty for a local one. Never a password.

    >>> pattern_of("git@github.com:acme/images.git")
    'https://github.com/acme/images/commit/{sha}'
    """
    if not is_remote(repository):
        return ""
    if repository.startswith(("https://", "http://")):
        parts = urlsplit(repository)
        host, path = parts.netloc.rpartition("@")[2], parts.path
    elif (found := _SSH.fullmatch(repository)) is not None and found[1] != "file":
        host, path = found[1], found[2]
    else:
        return ""
    path = path.strip("/").removesuffix(".git")
    middle = "-/commit" if "gitlab" in host else "commit"
    return f"https://{host}/{path}/{middle}/{{sha}}" if path else ""


def freeze_in_words() -> str:
    """Return the freeze that is on; empty if none is, or if the Variable cannot be read."""
    from airflow.sdk import Variable

    from bakehouse.core.freeze import VARIABLE, parse_freeze

    try:
        freeze = parse_freeze(Variable.get(VARIABLE, default=None))
    except Exception as unknown:  # of a secrets backend: rollouts ask for themselves
        log.debug("the freeze cannot be read: %s", unknown)
        return ""
    return str(freeze) if freeze is not None else ""


@cache
def boot_limits() -> dict[str, float]:
    """Return the boot limits of the recipes whose files this server has, in seconds.

    They are read once: a server that has the files is started again with new ones.
    """
    from airflow.sdk import conf

    from bakehouse.recipe.load import load_recipes

    dags = Path(str(conf.get("core", "dags_folder")))
    folders = [place / "include" / "recipes" for place in (dags.parent, dags)]
    folder = next((folder for folder in folders if folder.is_dir()), None)
    if folder is None:
        return {}
    recipes, _ = load_recipes(folder)
    return {one.name: one.boot_time_limit.total_seconds() for one in recipes}
