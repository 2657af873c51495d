"""Shows every mistake of every broken recipe as an import error of Airflow; defines no DAG.

A file of its own: an import error takes all DAGs of its file with it, and the other recipes
must go on.
"""

from __future__ import annotations

from pathlib import Path

from bakehouse.recipe.load import load_recipes

_, broken = load_recipes(Path(__file__).parent.parent / "include" / "recipes")
if broken:
    raise ValueError("\n" + "\n".join(str(mistakes) for mistakes in broken))
