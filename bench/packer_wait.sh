#!/bin/bash
# packer_wait.sh SERIAL_PORT_URL SECONDS: waits until the startup script has said on the serial port
# how it ended. Ends with 1 when the install has failed, or said nothing in so many seconds, or when
# nobody waits for it any more: a Packer that is killed leaves its provisioners behind.
set -Eeuo pipefail
while ((SECONDS < $2)) && kill -0 "$PPID" 2>/dev/null; do
  text=$(curl --silent --fail --noproxy '*' "$1") || text=''
  case $text in
  *'INSTALL FAILED'*)
    tail -c 2000 <<<"$text"
    exit 1
    ;;
  *'INSTALL DONE'*) exit 0 ;;
  esac
  sleep 0.25
done
echo "the install has not ended within $SECONDS s"
exit 1
