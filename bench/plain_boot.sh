#!/bin/bash
# Tells when a plain base has reached multi-user with network: seconds since the kernel started now,
# and systemd's own microseconds of both targets. The unit that runs this belongs to multi-user, so
# that it cannot wait for it: another one does. What this costs is taken off by these numbers.
set -Eeuo pipefail
cat >/run/plain-boot <<'SCRIPT'
#!/bin/bash
reached() { systemctl show --value --property=ActiveEnterTimestampMonotonic "$1"; }
read -r up _ </proc/uptime
printf 'PLAIN BOOT %s %s %s\n' "$up" "$(reached multi-user.target)" \
  "$(reached network-online.target)" >/dev/ttyS0
SCRIPT
systemd-run --quiet --no-block --property=After=multi-user.target \
  --property=After=network-online.target --property=Wants=network-online.target \
  bash /run/plain-boot
