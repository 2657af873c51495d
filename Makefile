# All that is ever typed. `make demo` and `make test` are the two to begin with.
.DEFAULT_GOAL := help
.PHONY: help setup demo up down status doctor validate schema test test-all test-distributed check test-localgce bench-localgce bench-dags bench-bake screenshots format lock

MACHINES ?=
FIGURES ?=
PARTS ?=

help:  ## this list
	@grep -E '^[a-z-]+:.*##' Makefile | sed -E 's/:[^#]*## */\t/' | expand -t 20

setup:  ## make .venv, install the Debian packages of packages.txt and devstack/packages.txt
	@scripts/setup

demo: setup  ## bake the recipe web on real machines, check it, leave nothing running (MACHINES=instant: without QEMU)
	@.venv/bin/python -m devstack.cli demo $(if $(MACHINES),--machines $(MACHINES))

up: setup  ## the same stack, to stay: Airflow on this machine, its address is printed
	@.venv/bin/python -m devstack.cli up $(if $(MACHINES),--machines $(MACHINES))

down: setup  ## stop what `make up` started
	@.venv/bin/python -m devstack.cli down

status: setup  ## what of it runs
	@.venv/bin/python -m devstack.cli status

doctor: setup  ## what this computer and this project lack to bake, and to run the stack
	@failed=0; .venv/bin/python -m bakehouse.cli doctor || failed=1; \
	.venv/bin/python -m devstack.cli doctor || failed=1; exit $$failed

validate: setup  ## check recipes, scripts, fleets and settings: every mistake with file, line, remedy
	@.venv/bin/python -m bakehouse.cli validate

schema: setup  ## write the JSON schemas of recipes and fleets, which editors complete from
	@.venv/bin/python -m bakehouse.cli schema

test: setup  ## what a change must pass: all stages of scripts/test.py, at most 20 minutes
	@.venv/bin/python scripts/test.py all

test-all: setup  ## what takes longer, in parts: vm localgce-vm chaos flow distributed fuzz (PARTS="vm chaos" for some)
	@.venv/bin/python scripts/test.py parts $(PARTS)

test-distributed: setup  ## of those, a bake and a rollout on Celery, Redis and PostgreSQL, with processes killed
	@.venv/bin/python scripts/test.py parts distributed

check: setup  ## lint, types and units only
	@.venv/bin/python scripts/test.py check

test-localgce: setup  ## localgce alone, with the clients that judge it
	@.venv/bin/python scripts/test.py localgce

bench-localgce: setup  ## its figures, one line of JSON each (FIGURES=name ... for some)
	@.venv/bin/python localgce/bench/run.py $(FIGURES)

bench-dags: setup  ## what parsing 10, 100 and 500 recipes costs, and what Airflow adds to a bake
	@.venv/bin/python bench/dags.py $(FIGURES)

bench-bake: setup  ## what a bake costs: beside its machines, in calls, and a thousand at once
	@.venv/bin/python bench/bake.py $(FIGURES)

screenshots: setup  ## take the pictures of docs/operating.md again (needs chromium)
	@.venv/bin/python docs/screenshots.py

format: setup  ## let ruff lay out the code
	@.venv/bin/ruff check --fix . && .venv/bin/ruff format .

lock: setup  ## renew requirements.lock
	@.venv/bin/python -m uv pip compile --quiet --upgrade --universal --python-version 3.11 \
		requirements.txt requirements-dev.txt localgce/pyproject.toml \
		devstack/pyproject.toml -o requirements.lock
