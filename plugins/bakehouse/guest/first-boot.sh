#!/bin/bash
# Makes anew what the bake has removed since each machine must have its own, before the services that
# need it start: the files that first-boot.conf lists. Whatever is there stays.
set -uo pipefail

root=${BAKEHOUSE_ROOT-}

initiator() {
  local name
  name=$(iscsi-iname) && (umask 077 && printf 'InitiatorName=%s\n' "$name" >"$root$path")
}

nvme_host() {
  local name
  name=$(nvme gen-hostnqn) && printf '%s\n' "$name" >"$root/etc/nvme/hostnqn" &&
    printf '%s\n' "${name##*:}" >"$root/etc/nvme/hostid"
}

rndc_key() {
  rndc-confgen -a -c "$root$path" >/dev/null && chown root:bind "$root$path" &&
    chmod 640 "$root$path"
}

dropbear_key() {
  local kind=${path##*/dropbear_}
  dropbearkey -t "${kind%_host_key}" -f "$root$path" >/dev/null
}

mail_name() {
  { hostname --fqdn 2>/dev/null || hostname; } >"$root$path"
}

while IFS= read -r path; do
  [[ ! -e $root$path ]] || continue
  case $path in
    */ssl-cert-snakeoil.*) make-ssl-cert generate-default-snakeoil --force-overwrite ;;
    /etc/iscsi/*) initiator ;;
    /etc/nvme/*) nvme_host ;;
    /etc/mailname) mail_name ;;
    /etc/bind/*) rndc_key ;;
    /etc/dropbear/*) dropbear_key ;;
    /etc/unbound/*) unbound-control-setup ;;
    /etc/ssh/*) ssh-keygen -A ;;
  esac || echo "$path could not be made" >&2
done <"$root/usr/lib/bakehouse/first-boot.conf"
