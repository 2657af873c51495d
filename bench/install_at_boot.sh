#!/bin/bash
# What a team does without images: at every first boot a plain Debian installs the recipe, renders
# the same templates, starts the same services and reports the same health. Nothing that only an
# image needs is done: no generalising, no manifest; and nothing that only a builder may do, whose disk
# is thrown away when it breaks off (dpkg's force-unsafe-io).
set -Eeuo pipefail
trap 'echo "INSTALL FAILED: line $LINENO: $BASH_COMMAND" >/dev/ttyS0' ERR
library=/usr/lib/bakehouse
payload=$(mktemp -d)

attribute() {
  curl --silent --fail --noproxy '*' --retry 5 --header 'Metadata-Flavor: Google' \
    "http://169.254.169.254/computeMetadata/v1/instance/attributes/$1"
}
attribute bakehouse-payload | base64 -d | tar -xzf - -C "$payload"

export DEBIAN_FRONTEND=noninteractive HOME=/root
cat >/etc/apt/apt.conf.d/99install <<'SETTINGS'
Acquire::Languages "none";
APT::Get::Assume-Yes "true";
SETTINGS
printf '#!/bin/sh\nexit 101\n' >/usr/sbin/policy-rc.d # no service starts before its config is there
chmod 755 /usr/sbin/policy-rc.d
apt-get --quiet update
# as bake.sh does: both shall run the same packages
apt-get --quiet upgrade --with-new-pkgs --no-install-recommends python3-jinja2
(cd "$payload/recipe" && bash -Eeuo pipefail install.sh)

mkdir -p "$library/templates" /etc/bakehouse
cp "$payload/image.json" /etc/bakehouse/image.json
cp "$payload/guest/boot.sh" "$library/boot"
cp "$payload/guest/render.py" "$library/render.py"
cp "$payload/guest/secret_values.py" "$library/secret_values.py"
cp "$payload/guest/report.sh" "$library/report"
attribute bakehouse-ready >"$library/ready"
attribute bakehouse-ready-conf >"$library/ready.conf"
for name in health gate drain; do
  [[ ! -e $payload/recipe/$name ]] || install -m 755 "$payload/recipe/$name" "$library/$name"
done
[[ ! -d $payload/recipe/templates ]] || cp -a "$payload/recipe/templates/." "$library/templates/"
python3 -c 'import json
for unit in json.load(open("/etc/bakehouse/image.json"))["services"]: print(unit)' >"$library/services"
sed -i 's/^limit=.*/limit=3600/' "$library/boot" # it counts from power on
chmod 755 "$library/boot" "$library/ready" "$library/report"
"$library/boot"
