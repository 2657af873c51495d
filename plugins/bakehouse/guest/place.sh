# executable_tmp FOLDER: hardened images mount /tmp noexec, where installers unpack what they run
executable_tmp() {
  local options
  options=$(findmnt --noheadings --output OPTIONS --target "$root/tmp") || return 0
  [[ ,$options, == *,noexec,* ]] || return 0
  mkdir -p "$1"
  chmod 1777 "$1"
  export TMPDIR=$1
}
