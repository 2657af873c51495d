# What makes a machine a builder: nothing asks, nothing starts, names resolve to the end. None of it
# stays in the image, see leave_builder.
package_settings=("$apt_settings" "$dpkg_settings") # apt and dpkg read them at each start
builder_settings=(
  "$no_starts"
  "$root/etc/sudoers.d/bakehouse"
  "$apt_auth_file"
  "$work/apt-auth.conf"
)
# Nobody asks. It is said in files too: sudo, su and units begin without this environment.
never_ask=(
  DEBIAN_FRONTEND=noninteractive DEBCONF_NONINTERACTIVE_SEEN=true UCF_FORCE_CONFFOLD=1
  NEEDRESTART_SUSPEND=1 NEEDRESTART_MODE=l
  APT_LISTCHANGES_FRONTEND=none APT_LISTBUGS_FRONTEND=none
  PAGER=cat SYSTEMD_PAGER=cat GIT_PAGER=cat GIT_TERMINAL_PROMPT=0 GIT_EDITOR=true EDITOR=true
  PIP_NO_INPUT=1 NPM_CONFIG_YES=true COMPOSER_NO_INTERACTION=1 CLOUDSDK_CORE_DISABLE_PROMPTS=1
)
debconf=$root/etc/debconf.conf
unattended='Frontend: noninteractive'
resolv=$root/etc/resolv.conf

become_builder() {
  set_apt
  set_the_rest
}

# The indexes are a third bigger as gz, and unpacked in half the time of xz, which is what they cost.
set_apt() {
  export "${never_ask[@]}"
  mkdir -p "${apt_settings%/*}"
  cat >"$apt_settings" <<'SETTINGS'
Acquire::CompressionTypes::Order { "gz"; };
Acquire::Languages "none";
Acquire::Retries "3";
APT::Get::Assume-Yes "true";
APT::Update::Error-Mode "any";
Aptitude::CmdLine::Assume-Yes "true";
DPkg::Lock::Timeout "300";
SETTINGS
  # it would ask nothing, in perl
  [[ $(hooks_before_unpacking) != 70debconf ]] ||
    echo '#clear DPkg::Pre-Install-Pkgs;' >>"$apt_settings"
}

# The files by which apt would start something before it unpacks, in a row.
hooks_before_unpacking() {
  local file text found=
  for file in "$root"/etc/apt/apt.conf "$root"/etc/apt/apt.conf.d/*; do
    [[ -f $file ]] || continue
    IFS= read -rd '' text <"$file" || :
    [[ $text != *Pre-Install-Pkgs* ]] || found+=${file##*/}
  done
  printf %s "$found"
}

# What no update of the lists needs.
set_the_rest() {
  local setting
  for setting in "$dpkg_settings" "$no_starts"; do mkdir -p "${setting%/*}"; done
  note_names
  printf '#!/bin/sh\nexit 101\n' >"$no_starts"
  chmod 755 "$no_starts"
  printf '%s\n' force-unsafe-io force-confdef force-confold \
    "post-invoke=. $work/names_work.sh || bash $work/keep_names.sh" \
    >"$dpkg_settings" # a half-written disk is never used
  if [[ -d $root/etc/sudoers.d ]]; then
    printf 'Defaults env_keep += "%s"\n' "${never_ask[*]%%=*} TMPDIR" >"$root/etc/sudoers.d/bakehouse"
    chmod 440 "$root/etc/sudoers.d/bakehouse"
  fi
  if [[ -e $debconf ]] && ! grep -qi '^Frontend:' "$debconf"; then
    sed -i "0,/^Templates:/s//$unattended\\n&/" "$debconf"
    : >"$work/unattended"
  fi
}

# A package that takes resolv.conf over (systemd-resolved, resolvconf) starts at boot only: until then
# its link leads nowhere. So there is a working file wherever it may lead, and dpkg looks after each
# of its runs.
note_names() {
  local file
  rm -f "$work"/resolv.*
  for file in "$resolv" "$root/run/systemd/resolve/resolv.conf"; do
    if grep -qsE '^nameserver[[:space:]]+[^[:space:]]' "$file" &&
      ! grep -qE '^nameserver[[:space:]]+(127\.|::1)' "$file"; then
      cat "$file" >"$work/resolv.conf"
      break
    fi
  done
  [[ -e $work/resolv.conf ]] || echo 'nameserver 169.254.169.254' >"$work/resolv.conf"
  for file in systemd/resolve/stub-resolv.conf systemd/resolve/resolv.conf resolvconf/resolv.conf; do
    file=$root/run/$file
    [[ ! -e $file ]] || continue
    mkdir -p "${file%/*}"
    cp "$work/resolv.conf" "$file"
  done
  # read by dpkg's sh; no process of its own, since dpkg runs again and again
  cat >"$work/names_work.sh" <<WORK
text() {
  text=
  while IFS= read -r line; do text="\$text\$line
"; done
}
text <'$work/resolv.conf'
wanted=\$text
{ text <'$resolv'; } 2>/dev/null && [ "\$text" = "\$wanted" ]
WORK
  {
    printf 'root=%q work=%q resolv=%q\n' "$root" "$work" "$resolv"
    cat <<'NAMES'
# After each run of dpkg. A link into /run stays as the package has made it; another file is put
# back at the end.
while read -r _ server _; do
  case $server in
    127.* | ::1) grep -qs '^ *[0-9]*: [0-9A-F]*:0035 ' "$root"/proc/net/{udp,udp6} || continue ;;
  esac
  exit 0
done < <(grep -s '^nameserver[[:space:]]' "$resolv")
target=$(readlink -m "$resolv")
if [[ -L $resolv && $target == "$root"/run/* ]]; then
  mkdir -p "${target%/*}"
else
  rm -f "$work"/resolv.{wanted,none}
  mv "$resolv" "$work/resolv.wanted" 2>/dev/null || : >"$work/resolv.none"
  target=$resolv
fi
cat "$work/resolv.conf" >"$target"
exit 0
NAMES
  } >"$work/keep_names.sh"
}

# The image gets what the packages have wanted.
leave_names() {
  if [[ -L $resolv ]] || ! cmp -s "$work/resolv.conf" "$resolv"; then
    return # it has been replaced since, by something that works
  elif [[ -e $work/resolv.wanted || -L $work/resolv.wanted ]]; then
    rm -f "$resolv"
    mv "$work/resolv.wanted" "$resolv"
  elif [[ -e $work/resolv.none ]]; then
    rm -f "$resolv"
  fi
}

# Without what is about packages, which may still be listed.
leave_builder() {
  leave_settings
  rm -rf "$payload" "$compiling" "$kept"/{tmp,starts}
}

leave_settings() {
  leave_names
  rm -rf "${builder_settings[@]}"
  [[ ! -e $work/unattended ]] || sed -i "/^$unattended$/d" "$debconf"
}
