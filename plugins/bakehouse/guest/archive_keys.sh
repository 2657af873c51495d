# Before apt 2.9 a script, apt-key, has gpgv verify each Release file, and collects the keys of the
# archives anew for each: some hundred programs, seconds without KVM. A builder collects them once.
collected=$kept/keys # readable by apt's own user

# collect_keys: sets `verifying`, the arguments by which apt-get has gpgv verify by these keys. None
# where apt-key has more to decide: a file of an unknown kind, one that not everybody may read, the
# keyring of old, or a base that verifies by another program.
collect_keys() {
  local keyring='' folder='' other='' file binary=() armoured=() kinds
  verifying=()
  if ! command -v apt-key >/dev/null || ! command -v gpgv >/dev/null; then return; fi
  eval "$(apt-config shell keyring Dir::Etc::Trusted/f folder Dir::Etc::TrustedParts/d other APT::Key::gpgvcommand)"
  if [[ ! -d $folder || -s $keyring || -n $other ]]; then return; fi
  while IFS= read -rd '' file; do # mode and path: -rw-r--r--/etc/…
    case ${file:7:1}$file in
      r*.asc) armoured+=("${file:10}") ;;
      r*.gpg) binary+=("${file:10}") ;;
      *) return 0 ;;
    esac
  done < <(find -L "$folder" -mindepth 1 -maxdepth 1 \( -name '*.asc' -o -name '*.gpg' \) \
    -size +0 -printf '%M%p\0')
  mkdir -p "$collected"
  : >"$collected/archives.gpg"
  if ((${#binary[@]})); then
    kinds=$(head -qc 1 "${binary[@]}" | od -An -v -tx1)
    [[ $kinds =~ ^([[:space:]]+(98|99|c6))+$ ]] || return 0
    cat "${binary[@]}" >>"$collected/archives.gpg"
  fi
  if ((${#armoured[@]})); then
    without_armour "${armoured[@]}" >>"$collected/archives.gpg" 2>/dev/null || return 0
  fi
  cat >"$collected/verify" <<VERIFY
#!/bin/sh
# apt-key sees to a source that names keys of its own.
[ "\$1 \$2 \$3" = '--quiet --readonly verify' ] || exec $(command -v apt-key) "\$@"
shift 3
exec gpgv --homedir /nonexistent --keyring '$collected/archives.gpg' --ignore-time-conflict "\$@"
VERIFY
  chmod -R a+rX "$collected"
  chmod 755 "$collected/verify"
  verifying=(-o "Dir::Bin::apt-key=$collected/verify")
}

# without_armour FILE...: as apt-key takes it off
without_armour() {
  awk 'FNR == 1 || /^-----END/ { part = "" }
    /^-----BEGIN/ { part = "head" }
    /^$/ && part == "head" { part = "key" }
    /^[^=-]/ && part == "key"' "$@" | base64 -d
}
