"""Store rendered bundles: `<ledger>/bundles/<recipe>/<content key>.json`.

A bundle is written once and atomically; its content key is verified when it is read.
"""

from __future__ import annotations

import contextlib
import re
from datetime import UTC, datetime

from airflow.sdk import ObjectStoragePath

from bakehouse.history.objects import create
from bakehouse.recipe.bundle import BadBundle, Bundle, StoredBundle, read_bundle

_NAME = re.compile(r"([0-9a-f]{40})\.json")


class BundleStore:
    """Bundles beside the ledger.

    Args:
        ledger: The ledger's URL (a connection may stand in it).
    """

    def __init__(self, ledger: str) -> None:
        self._base = ObjectStoragePath(ledger) / "bundles"

    def put(self, bundle: Bundle) -> str:
        """Write the bundle unless it exists; return the object's URL.

        A damaged one is replaced.
        """
        target = self._path(bundle.rendered.recipe, bundle.content_key)
        try:
            create(target, bundle.to_bytes())
        except FileExistsError:
            self._replace_damaged(target, bundle)
        return str(target)

    def get(self, recipe: str, content_key: str) -> Bundle | None:
        """Return the bundle; None if it does not exist. Raises BadBundle if it is damaged."""
        target = self._path(recipe, content_key)
        try:
            data = target.read_bytes()
        except FileNotFoundError:
            return None
        try:
            return read_bundle(data, content_key)
        except BadBundle as bad:
            raise BadBundle(f"{target} is not the bundle of its name: {bad}") from bad

    def listed(self) -> list[StoredBundle]:
        """List everything below `bundles/`."""
        self._base.fs.invalidate_cache()
        try:
            found = self._base.fs.find(self._base.path, detail=False)
        except FileNotFoundError:
            return []
        return [one for path in sorted(found) if (one := self._stored(path)) is not None]

    def delete(self, stored: StoredBundle) -> None:
        """Delete the object, if it exists."""
        with contextlib.suppress(FileNotFoundError):
            (self._base / stored.recipe / stored.name).unlink()

    def _stored(self, path: str) -> StoredBundle | None:
        *_, recipe, name = path.split("/")
        key = _NAME.fullmatch(name)
        try:
            modified: datetime = self._base.fs.modified(path)
        except FileNotFoundError:
            return None  # deleted since it was listed
        return StoredBundle(
            recipe=recipe,
            name=name,
            content_key=key[1] if key else "",
            modified=modified if modified.tzinfo else modified.replace(tzinfo=UTC),
        )

    def _replace_damaged(self, target: ObjectStoragePath, bundle: Bundle) -> None:
        with contextlib.suppress(BadBundle):
            if self.get(bundle.rendered.recipe, bundle.content_key) is not None:
                return
        with contextlib.suppress(FileNotFoundError):
            target.unlink()
        with contextlib.suppress(FileExistsError):  # another writer was faster: the same bytes
            create(target, bundle.to_bytes())

    def _path(self, recipe: str, content_key: str) -> ObjectStoragePath:
        return self._base / recipe / f"{content_key}.json"
