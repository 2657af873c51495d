# failure_of NAME EXIT_CODE LOG: the error object for a recipe's script that the prelude watched
failure_of() {
  local LC_ALL=C.UTF-8 code=$2 line=0 script=$1 command='' message said cause
  message=$(tail -n 6 "$3" | iconv -c -f UTF-8 -t UTF-8) || : # whatever bytes a tool may print
  ((${#message} <= 1200)) || message=${message: -1200}
  if [[ -s $work/record ]]; then
    { read -r _ && read -r _ && read -r line && read -r script && IFS= read -rd '' command; } \
      <"$work/record" || :
  fi
  # bash tells an unset variable in words only.
  said='line ([0-9]+): ([A-Za-z0-9_]+: unbound variable)'
  if [[ $line == 0 && $message =~ $said ]]; then
    line=${BASH_REMATCH[1]} command=${BASH_REMATCH[2]}
  fi
  cause=$(cause_of "$3" "$code")
  problem "$script" "$line" "${command%$'\n'}" "$code" "${cause:+$cause$'\n'}$message"
}

# cause_of LOG EXIT_CODE: why a script fails that is right, and the remedy; nothing if none is known
cause_of() {
  local LC_ALL=C.UTF-8 text kernel full
  text=$(tail -n 30 "$1" | iconv -c -f UTF-8 -t UTF-8) || :
  kernel=$(uname -r)
  full=$(full_disk)
  case $text in
    *'No space left on device'* | *"don't have enough free space"* | *'not enough space'*)
      echo "${full:-no space was left on the disk: raise builder.disk_gb}" ;;
    *'is not valid yet'* | *'not yet valid'* | *'not yet activated'*)
      echo "the clock of the machine is behind ($(date -u '+%F %T') UTC): bake again, and check" \
        "that the image sets its time (chrony, systemd-timesyncd)" ;;
    *'Hash Sum mismatch'* | *'File has unexpected size'* | *'Hashes of expected file'*)
      echo "an archive or a proxy gives files that do not fit its index (it was changing, or is" \
        "cached): bake again, or name another mirror in prepare.sh.j2" ;;
    *"Unable to locate package linux-"*"-$kernel"*)
      echo "the archive has no package for the kernel that runs, $kernel: write" \
        "\$BAKEHOUSE_KERNEL, the kernel that the image boots, instead of \$(uname -r)" ;;
    *' Release file'* | *EXPKEYSIG* | *NO_PUBKEY* | *'is not signed'* | *'no longer signed'* | \
      *'is expired'* | *'signatures were invalid'* | */dists/*'  404  '*)
      echo "the apt source $(suites_in "$text") cannot be used (gone from the archive, expired, or" \
        "its key is): mend it in prepare.sh.j2, which runs before the first update" ;;
    *'Temporary failure resolving'* | *'Could not resolve'* | *'Network is unreachable'* | \
      *'Could not connect to'* | *'onnection timed out'*)
      echo "a server does not answer: give the builder a way there (builder.external_ip, a NAT, a" \
        "mirror in prepare.sh.j2) or bake again" ;;
    *'Failed to fetch '*)
      text=$(suites_in "$text")
      echo "an archive does not give what it should (${text:-a package}): bake again, or name another" \
        "one in prepare.sh.j2" ;;
    *Killed* | *'Cannot allocate memory'* | *'ut of memory'*)
      echo "the machine has run out of memory: choose a larger builder.machine_type" ;;
    *)
      if [[ $2 == 137 ]]; then
        echo "it was killed: if memory ran out, choose a larger builder.machine_type"
      elif [[ -n $full ]]; then
        echo "$full"
      fi
      ;;
  esac
}

# full_disk: which file system is full now, and the remedy
full_disk() {
  local free inodes type at
  while read -r free inodes type at; do
    if [[ $inodes == 0 && $free != 0 && $type =~ ^(ext|xfs) ]]; then
      echo "$at has no inodes left: write fewer files, or raise builder.disk_gb"
      return
    fi
    if [[ ! $free =~ ^[0-9]+$ ]] || ((free >= 1024)); then continue; fi
    if [[ $type == tmpfs ]]; then
      echo "$at is full: it is in memory; write elsewhere, or choose a larger builder.machine_type"
    else
      echo "no space is left on $at: raise builder.disk_gb"
    fi
    return
  done < <(df --output=avail,iavail,fstype,target "$root/" "$root/tmp" "$root/var/tmp" "$root/run" \
    2>/dev/null | tail -n +2)
}

# suites_in TEXT: the suites that apt complains of, as `bookworm-backports of http://…/debian`
suites_in() {
  sed -n -e "s/^[EW]: .*'\([^ ']*\) \([^ ']*\) \(In\)\{0,1\}Release'.*/\2 of \1/p" \
    -e 's/^[EW]: .*GPG error: \([^ ]*\) \([^ ]*\) \(In\)\{0,1\}Release:.*/\2 of \1/p' \
    -e 's#^[EW]: .*\( \|^\)\([a-z+]*:[^ ]*\)/dists/\([^ ]*\)/\(In\)\{0,1\}Release.*#\3 of \2#p' \
    -e 's#^[EW]: Failed to fetch \([^ ]*\)/dists/\([^/ ]*\)/.*#\2 of \1#p' <<<"$1" | sort -u |
    paste -s -d ',' | sed 's/,/, /g'
}
