#!/bin/bash
# What an instance of the cookbook's tests runs at each boot, besides its image: once it is healthy,
# the functions of a recipe (rows/NAME.sh) read the rows, write one more, and read them again.
set -Eeuo pipefail

until grep -qs '"state": "healthy"' /run/bakehouse/health.json; do
  sleep 1
done
