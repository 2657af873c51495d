#!/bin/bash
# What somebody does who makes an image by hand: boot the base, run the same commands of apt and the
# same install. Nothing checks, tells, generalises or takes account of anything. What follows is of
# whoever runs it: a power off, or a line that Packer waits for.
set -Eeuo pipefail
trap 'echo "INSTALL FAILED: line $LINENO: $BASH_COMMAND" >/dev/ttyS0' ERR
payload=$(mktemp -d)
curl --silent --fail --noproxy '*' --retry 5 --header 'Metadata-Flavor: Google' \
  http://169.254.169.254/computeMetadata/v1/instance/attributes/bakehouse-payload |
  base64 -d | tar -xzf - -C "$payload"

export DEBIAN_FRONTEND=noninteractive HOME=/root
cat >/etc/apt/apt.conf.d/99install <<'SETTINGS'
Acquire::Languages "none";
APT::Get::Assume-Yes "true";
SETTINGS
apt-get --quiet update
# as bake.sh does: both shall install the same packages
apt-get --quiet upgrade --with-new-pkgs --no-install-recommends python3-jinja2
(cd "$payload/recipe" && bash -Eeuo pipefail install.sh)
