#!/bin/bash
# packer_wait.sh SERIAL_PORT_URL SECONDS: waits until the startup script has said on the serial port
# how it ended. Ends with 1 when the install has failed, or said nothing in so many seconds.
set -Eeuo pipefail
while ((SECONDS < $2)); do
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
echo "the install has not ended within $2 s"
exit 1
