#!/bin/bash
# On an instance of the image of Kafka, once it is healthy: the broker is started by its unit, and the
# same command by hand, in turn; and by hand without the archive of classes, as somebody does who has
# the jars alone. Each tells the seconds until Kafka says that it has started.
set -Eeuo pipefail
trap 'echo "KAFKA STARTS FAILED: line $LINENO: $BASH_COMMAND" >/dev/ttyS0' ERR
until grep -qs '"state": "healthy"' /run/bakehouse/health.json; do sleep 1; done
systemctl stop bakehouse-health.timer kafka-agent # they would compute beside
log=/var/log/kafka/server.log
mapfile -d '' -t with_archive <"/proc/$(systemctl show --property=MainPID --value kafka)/cmdline"
jars_alone=()
for one in "${with_archive[@]}"; do [[ $one == -XX:SharedArchiveFile=* ]] || jars_alone+=("$one"); done
systemctl stop kafka

by_hand() {
  cd /var/lib/kafka
  setpriv --reuid=kafka --regid=kafka --clear-groups "$@" >/dev/null 2>&1 &
  broker=$!
}

# seconds START STOP: sets `took`. Nobody looks again and again meanwhile: processes of a shell that
# polls would take from the broker what they cost, and of a unit more than of a child of this shell.
seconds() {
  local before now watcher
  : >"$log"
  sync
  { tail --lines 0 --follow=name "$log" & } | grep --quiet --max-count 1 'Kafka Server started' &
  watcher=$!
  sleep 1
  read -r before _ </proc/uptime
  eval "$1"
  wait "$watcher"
  read -r now _ </proc/uptime
  took=$(awk "BEGIN { printf \"%.2f\", $now - $before }")
  eval "$2"
}

unit=() hand=() alone=()
by_hand "${with_archive[@]}" # not measured: what a first start finds in no cache
until grep -q 'Kafka Server started' "$log"; do sleep 1; done
kill "$broker"
wait "$broker" || :
for kind in unit hand alone hand unit alone unit hand; do
  case $kind in
    unit)
      seconds 'systemctl start kafka' 'systemctl stop kafka'
      unit+=("$took")
      ;;
    hand)
      seconds 'by_hand "${with_archive[@]}"' 'kill "$broker"; wait "$broker" || :'
      hand+=("$took")
      ;;
    alone)
      seconds 'by_hand "${jars_alone[@]}"' 'kill "$broker"; wait "$broker" || :'
      alone+=("$took")
      ;;
  esac
done
echo "KAFKA STARTS unit ${unit[*]} hand ${hand[*]} alone ${alone[*]}" >/dev/ttyS0
