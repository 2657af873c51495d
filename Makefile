# All commands. Start with `make demo` and `make test`.
.DEFAULT_GOAL := help
.PHONY: help setup demo demo-kafka up down status doctor validate schema test test-all test-distributed check test-localgce bench-localgce bench-dags bench-bake bench-night bench-packer bench-rollout bench-kafka bench-build bench-history bench-ledger screenshots format lock

MACHINES ?=
BAD_IMAGE ?=
FIGURES ?=
PAIRS ?=
PARTS ?=
# instant machines have no disks
SET_UP = $(if $(filter instant,$(MACHINES)),scripts/setup && exec,scripts/with_public_image)

help:  ## list all targets
	@grep -E '^[a-z-]+:.*##' Makefile | sed -E 's/:[^#]*## */\t/' | expand -t 20

setup:  ## create .venv, install the Debian packages of packages.txt and devstack/packages.txt
	@scripts/setup

demo:  ## bake the recipe web on QEMU machines and roll it out (MACHINES=instant: simulated machines)
	@$(SET_UP) .venv/bin/python -m devstack.cli demo $(if $(MACHINES),--machines $(MACHINES))

demo-kafka:  ## bake Kafka, create a cluster on QEMU machines, roll and break it under traffic (BAD_IMAGE=1: a bad image instead)
	@scripts/setup --packages packages-kafka.txt
	@$(SET_UP) .venv/bin/python -m devstack.cli demo-kafka $(if $(BAD_IMAGE),--bad-image)

up:  ## start Airflow and localgce on this computer and leave them running
	@$(SET_UP) .venv/bin/python -m devstack.cli up $(if $(MACHINES),--machines $(MACHINES))

down: setup  ## stop what `make up` started
	@.venv/bin/python -m devstack.cli down

status: setup  ## list the programs of that stack
	@.venv/bin/python -m devstack.cli status

doctor: setup  ## check what this computer and this project lack to bake, and to run the stack
	@failed=0; .venv/bin/python -m bakehouse.cli doctor || failed=1; \
	.venv/bin/python -m devstack.cli doctor || failed=1; exit $$failed

validate: setup  ## check recipes, scripts, fleets and settings; report mistakes with file, line and remedy
	@.venv/bin/python -m bakehouse.cli validate

schema: setup  ## write the JSON schemas of recipes and fleets for editors, and the tables of the guide
	@.venv/bin/python -m bakehouse.cli schema

test: setup  ## run the checks of a change: all stages of scripts/test.py, at most 20 minutes
	@.venv/bin/python scripts/test.py all

test-all: setup  ## run the long checks, in parts: vm vm-fleets cookbook cookbook-2 demo-kafka demo-kafka-bad-image localgce-vm localgce-long chaos integration-long flow distributed fuzz sweep kafka (PARTS="vm chaos")
	@.venv/bin/python scripts/test.py parts $(PARTS)

test-distributed: setup  ## run the part distributed: Celery, Redis and PostgreSQL, with processes killed
	@.venv/bin/python scripts/test.py parts distributed

check: setup  ## run lint, import contracts, types and units
	@.venv/bin/python scripts/test.py check

test-localgce: setup  ## run the tests of localgce
	@.venv/bin/python scripts/test.py localgce

bench-localgce: setup  ## measure localgce, one line of JSON for each figure (FIGURES=name ...)
	@.venv/bin/python localgce/bench/run.py $(FIGURES)

bench-dags: setup  ## measure the parse time of 10, 100 and 500 recipes, and Airflow's share of a bake
	@.venv/bin/python bench/dags.py $(FIGURES)

bench-bake: setup  ## measure a bake: overhead, API calls, and a thousand waiting bakes
	@.venv/bin/python bench/bake.py $(FIGURES)

bench-night: setup  ## measure a night of 10 and of 100 recipes (FIGURES="10 NAME ..." selects)
	@.venv/bin/python bench/night.py $(FIGURES)

bench-rollout: setup  ## measure rollouts to 10 and 1,000 members (FIGURES="10 100 NAME ..." selects)
	@.venv/bin/python bench/rollout.py $(FIGURES)

bench-kafka: setup  ## measure rolls of three Kafka brokers in processes, and starts of a baked one on QEMU machines
	@scripts/setup packages-kafka.txt
	@.venv/bin/python bench/kafka_rolls.py $(FIGURES)

bench-history: setup  ## measure the page of the images with 5,000 images and 1,000 members
	@.venv/bin/python bench/history.py $(FIGURES)

bench-packer: setup  ## bake the recipe web with Packer and with Bakehouse in turn; builds Packer with Go (PAIRS=1: once each)
	@.venv/bin/python bench/packer.py $(if $(PAIRS),--pairs $(PAIRS))

bench-build: setup  ## measure the inner loop: edit to healthy page, unchanged build, build over bake
	@.venv/bin/python bench/build.py $(FIGURES)

bench-ledger: setup  ## measure how long 100,000 events of the ledger take to list, read and compact
	@.venv/bin/python bench/ledger.py $(FIGURES)

screenshots: setup  ## take the pictures of docs/operating.md again (needs chromium)
	@.venv/bin/python docs/screenshots.py

format: setup  ## format the code with ruff
	@.venv/bin/ruff check --fix . && .venv/bin/ruff format .

lock: setup  ## update requirements.lock
	@.venv/bin/python -m uv pip compile --quiet --upgrade --universal --python-version 3.11 \
		requirements.txt requirements-dev.txt localgce/pyproject.toml \
		devstack/pyproject.toml -o requirements.lock
