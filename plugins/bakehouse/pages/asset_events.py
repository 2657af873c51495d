"""The promoted images by Airflow's own tables, for a server that cannot read the ledger."""

from __future__ import annotations

from typing import Any

from bakehouse.pages.answers import AssetEventRow

MOST = 200
RESULT = "result"  # the last task of a run
PREFIX = "image/"  # of the assets; see schedule/image_asset.py


def read_asset_events() -> list[AssetEventRow]:
    """Read the newest events of all image assets, with what their runs have returned."""
    from airflow.models.asset import AssetEvent, AssetModel
    from airflow.models.xcom import XComModel
    from airflow.utils.session import create_session
    from sqlalchemy import select

    asked = (
        select(AssetEvent, AssetModel.name)
        .join(AssetModel, AssetModel.id == AssetEvent.asset_id)
        .where(AssetModel.name.startswith(PREFIX, autoescape=True))
        .order_by(AssetEvent.timestamp.desc(), AssetEvent.id.desc())
        .limit(MOST)
    )
    with create_session() as session:
        found = list(session.execute(asked))
        runs = {event.source_run_id for event, _ in found}
        results = select(XComModel.dag_id, XComModel.run_id, XComModel.value).where(
            XComModel.task_id == RESULT, XComModel.run_id.in_(runs)
        )
        told = {(dag, run): value for dag, run, value in session.execute(results)}
        return [
            _row(event, name, told.get((event.source_dag_id, event.source_run_id)))
            for event, name in found
        ]


def _row(event: Any, asset: str, result: object) -> AssetEventRow:
    extra = event.extra if isinstance(event.extra, dict) else {}
    return AssetEventRow(
        time=event.timestamp,
        recipe=asset.removeprefix(PREFIX),
        image=str(extra.get("image", "")),
        git_sha=str(extra.get("git_sha", "")),
        dag_id=event.source_dag_id,
        run_id=event.source_run_id,
        result="" if result is None else str(result)[:500],
    )
