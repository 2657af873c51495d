# logged COMMAND...: its output goes to $log, and on to the serial port as it comes. To a file and not
# to a pipe: a daemon that a script leaves behind would hold a pipe open.
logged() {
  local code=0 process shown
  : >"$log"
  "$@" </dev/null >"$log" 2>&1 &
  process=$!
  tail -n +1 -s 0.05 -f --pid="$process" "$log" &
  shown=$!
  wait "$process" || code=$?
  wait "$shown"
  return "$code"
}

# from_archives APT-GET-ARGUMENTS...: tried again while an archive does not answer. A suite that cannot
# be read would be missing without a word, and its security updates with it.
from_archives() {
  local code pause passing='Failed to fetch|Some index|Unable to fetch|The repository|GPG|.* Release '
  passing+='|Could not get lock|Unable to lock' # a timer may have been quicker than `quiet_apt`
  for pause in 5 20 60 ''; do
    code=0
    logged apt-get --quiet "$@" || code=$?
    # an apt that does not know Error-Mode (before 2.1) only warns
    if ((code == 0)) && grep -qE '^W: (Failed to fetch|Some index files)' "$log"; then code=100; fi
    ((code)) || return 0
    grep -qE "^[EW]: ($passing)" \
      "$log" || break
    [[ -n $pause ]] || break
    echo "apt-get $1: trying again in $pause s"
    sleep "$pause"
    [[ $1 == update ]] || apt-get --quiet update </dev/null || :
  done
  rm -f "$work/record"
  { grep -E '^[EW]: ' "$log" || tail -n 6 "$log"; } >"$work/archives.log"
  failed "$(failure_of "apt-get $1" "$code" "$work/archives.log")"
}
