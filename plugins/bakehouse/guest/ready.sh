#!/bin/bash
# Says whether this instance is ready. Exit code 0: it is, and a script may say more; 1: not yet;
# 2: a unit is dead, and nothing starts it again by itself. The reasons are on standard output.
#
#   ready              one try: each unit of `services`, each check of `ready.conf`, then `health`
#   ready --watch      the units once more, for the seconds of min_ready or, where the recipe declares none,
#                      as long as their kind asks for: each must stay as it is
#   ready --then-watch both in one process, for a boot: 3 is the exit code of units that do not stay,
#                      and /run/bakehouse/watched says why; ready_at has the uptime of the try
#
# How often systemd has started the units again since this boot is left in /run/bakehouse/restarts.
# Boot asks until it is ready, the smoke test asks again at its end, and each health report asks.
set -Eeuo pipefail

root=${BAKEHOUSE_ROOT-}
library=$root/usr/lib/bakehouse
settings=$library/ready.conf # what the recipe declares as `ready`
started=$root/run/bakehouse/started # boot: each start job has succeeded
tcp='' http_port='' http_path='' http_status='' http_scheme='' unit='' script='' script_name=''
host=localhost timeout=10 min_ready=''
# shellcheck source=/dev/null
[[ ! -e $settings ]] || . "$settings"

properties=Id,LoadState,LoadError,ActiveState,SubState,Type,Result,ExecMainStatus
properties+=,ExecMainStartTimestampMonotonic,NRestarts,MainPID,InvocationID,TriggeredBy
units=()
declare -A now=() # what systemd says now, by place and property: ${now[0.ActiveState]}
verdict=          # of the last `judge`: ok, waiting or dead
reason=

read_units() {
  [[ ! -s $library/services ]] || mapfile -t units <"$library/services"
  [[ -z $unit ]] || units+=("$unit")
}

# One process for all units; their blocks come in the order of the names.
look() {
  local line place=0
  now=()
  while IFS= read -r line; do
    if [[ -z $line ]]; then
      place=$((place + 1))
    else
      now[$place.${line%%=*}]=${line#*=}
    fi
  done < <(systemctl show --property="$properties" "${units[@]}" 2>/dev/null)
}

# judge PLACE: sets verdict and reason, by what success means for the kind of unit
judge() {
  local place=$1 type=${now[$1.Type]-} result=${now[$1.Result]-}
  local state=${now[$1.ActiveState]-} sub=${now[$1.SubState]-}
  verdict=dead reason=
  case ${now[$place.LoadState]-} in
    masked | not-found) reason="is ${now[$place.LoadState]}" ;;
    bad-setting | error) reason="cannot be loaded: ${now[$place.LoadError]-}" ;;
  esac
  [[ -z $reason ]] || return 0
  case $state in
    active | reloading | refreshing) verdict=ok ;;
    activating | deactivating | maintenance) verdict=waiting reason="is $state ($sub)" ;;
    failed) reason="has failed ($result, exit code ${now[$place.ExecMainStatus]-0})" ;;
    inactive) judge_inactive ;;
    *) judge_by_word ;;
  esac
  # Between death and the start after it, systemd 254 shows a unit as dead for a moment.
  if [[ $sub == *-before-auto-restart ]]; then verdict=waiting; fi
}

# A unit that does not run may be done, or may be started by the next connection. systemd forgets
# what it knows of a unit that has ended well, so that its start job is the proof that it has run.
judge_inactive() {
  if [[ $type == oneshot && $result == success ]]; then
    if [[ -e $started || ${now[$place.ExecMainStartTimestampMonotonic]-0} != 0 ]]; then
      verdict=ok
    else
      verdict=waiting reason='has not run'
    fi
  elif [[ $result == success ]] && is_triggered "${now[$place.TriggeredBy]-}"; then
    verdict=ok
  else
    reason='is not running: it has ended by itself, or a condition of its unit kept it from starting'
  fi
}

is_triggered() {
  local triggers
  read -ra triggers <<<"$1"
  ((${#triggers[@]})) && systemctl is-active --quiet "${triggers[@]}" # one of them is enough
}

# Where systemd shows nothing of a unit, only its plain word counts.
judge_by_word() {
  local word
  if word=$(systemctl is-active "${units[$place]}" 2>&1); then
    verdict=ok
  else
    reason="is ${word:-unknown}"
  fi
}

last_lines() {
  journalctl --boot --unit "$1" --lines 5 --output cat --no-pager 2>/dev/null || :
}

# blame PLACE REASON: the unit by its name, and what it has said last
blame() {
  local name=${now[$1.Id]-} said
  name=${name:-${units[$1]}}
  said=$(last_lines "$name")
  printf '%s %s%s\n' "$name" "$2" "${said:+; it said last: $said}"
}

# life_of PLACE: what changes when a unit is started again, `:` between. A oneshot unit may run again,
# and only Type=notify may hand over to another main process.
life_of() {
  local type=${now[$1.Type]-} state=${now[$1.ActiveState]-} process=${now[$1.MainPID]-0} start
  start=${now[$1.InvocationID]-}
  [[ $type != oneshot && $state == active ]] || start=''
  [[ $type != notify* && $process != 0 ]] || process=''
  printf '%s:%s:%s' "${now[$1.NRestarts]-0}" "$start" "$process"
}

# differ ONE OTHER: whether both are known and not the same
differ() {
  [[ -n $1 && -n $2 && $1 != "$2" ]]
}

all_units() {
  local place code=0
  ((${#units[@]})) || return 0
  look
  for place in "${!units[@]}"; do
    judge "$place"
    [[ $verdict != ok ]] || continue
    blame "$place" "$reason"
    if [[ $verdict == dead ]]; then code=2; elif ((code == 0)); then code=1; fi
  done
  return "$code"
}

# Without a check of its own an image is ready when its units are: then none may have died before.
has_checks() {
  [[ -n $tcp$http_port$script || -e $library/health ]]
}

# read_uptime: sets `up`, the seconds since the kernel started, 12.34
read_uptime() {
  read -r up _ <"$root/proc/uptime"
}

note_moment() {
  local up
  read_uptime
  printf %s "$up" >"$root/run/bakehouse/ready_at"
}

# says_it_is_up PLACE: whether systemd calls the unit active when its program has said so, or has done
# all. A simple one is active before the first instruction of its program. A forking one has opened its
# ports by then if it is a good daemon, so it is believed where a check has found it to answer.
says_it_is_up() {
  case ${now[$1.Type]-} in
    notify | notify-reload | dbus | oneshot) return 0 ;;
    forking) has_checks ;;
    *) return 1 ;;
  esac
}

# What dies of a wrong config or a taken port dies within 3 s of its start. The checks have taken a part
# of these; one second at least is watched after them, since they are a unit's first requests.
seconds_to_watch() {
  local place start up youngest=0 left=3
  for place in "${!units[@]}"; do
    if says_it_is_up "$place"; then
      ((youngest)) || left=1
      continue
    fi
    start=${now[$place.ExecMainStartTimestampMonotonic]-0} # microseconds since the kernel started
    ((${start:-0} <= youngest)) || youngest=$start
  done
  read_uptime
  ((youngest == 0)) || left=$((youngest / 1000000 + 4 - ${up%.*}))
  printf %s "$((left < 1 ? 1 : left > 3 ? 3 : left))"
}

watch_units() {
  local place looks until seconds up lives=()
  ((${#units[@]})) || return 0
  look
  seconds=${min_ready:-$(seconds_to_watch)}
  read_uptime
  looks=$((2 * seconds)) until=$((${up%.*} + seconds))
  for place in "${!units[@]}"; do
    lives[place]=$(life_of "$place")
    has_checks || lives[place]=0:${lives[place]#*:}
  done
  while :; do
    still_alive || return 2
    read_uptime
    ((looks-- > 0 && ${up%.*} < until)) || return 0
    sleep 0.5
    look
  done
}

still_alive() {
  local place code=0 restarts start process restarts_now start_now process_now
  for place in "${!units[@]}"; do
    judge "$place"
    IFS=: read -r restarts start process <<<"${lives[place]}"
    IFS=: read -r restarts_now start_now process_now <<<"$(life_of "$place")"
    if [[ $verdict != ok ]]; then
      blame "$place" "$reason, seconds after its start"
      code=2
    elif differ "$restarts" "$restarts_now" || differ "$start" "$start_now" ||
      differ "$process" "$process_now"; then
      blame "$place" 'died seconds after its start and was started again'
      code=2
    fi
  done
  return "$code"
}

# cannot_run FILE: says why the kernel does not execute it as what it says it is. bash and its like
# take over a file without #! and run it as their own, which proves nothing.
cannot_run() {
  local LC_ALL=C first='' interpreter words
  if [[ ! -f $1 ]]; then
    echo 'does not exist'
  elif [[ ! -x $1 ]]; then
    echo 'is not executable'
  else
    IFS= read -r -n 250 first <"$1" || :
    [[ $first != $'\x7fELF'* ]] || return 1
    read -ra words <<<"${first#'#!'}"
    interpreter=${words[0]-}
    [[ ${interpreter##*/} != env ]] || interpreter=$(found_by_env "${words[@]:1}") || :
    if [[ $first != '#!'* ]]; then
      echo "is neither a program nor begins with #! (such as #!/bin/bash)"
    elif [[ $first == *$'\r' ]]; then
      echo 'has line ends of Windows (CR LF), which the kernel takes for a part of the #! line'
    elif [[ ! -f $interpreter || ! -x $interpreter ]]; then
      echo "needs ${first#'#!'}, which does not exist in the image"
    else
      return 1
    fi
  fi
}

# found_by_env WORD...: the path of what env would run, past its options and variables
found_by_env() {
  while [[ ${1-} == -* || ${1-} == *=* ]]; do shift; done
  command -v "${1-}"
}

# run FILE NAME: to a file and not to a pipe, which a process left behind would hold open
run() {
  local code=0 said text why
  if why=$(cannot_run "$1"); then
    echo "$2 $why"
    return 1
  fi
  said=$root/run/bakehouse/said.$BASHPID
  { : >"$said"; } 2>/dev/null || said=$(mktemp) # of another user
  # shellcheck disable=SC2016 # $0 is the file, for the inner bash
  timeout --kill-after=2 "$timeout" bash -c 'exec "$0"' "$1" </dev/null >"$said" 2>&1 || code=$?
  case $code in
    0) ;;
    124 | 137) echo "$2 did not end within $timeout s" ;;
    126 | 127) echo "$2 could not be executed, or a command of it: exit code $code" ;;
    *) echo "$2 exited with $code" ;;
  esac
  IFS= read -rd '' text <"$said" || :
  printf %s "$text"
  rm -f "$said"
  ((code == 0))
}

accepts() {
  local said
  # shellcheck disable=SC2016 # $0 and $1 are the words after it
  said=$(timeout --kill-after=2 "$timeout" bash -c 'exec 3<>"/dev/tcp/$0/$1"' "$host" "$tcp" 2>&1) ||
    { echo "tcp port $tcp of $host: ${said##*: }" && return 1; }
}

answers() {
  local said url=$http_scheme://$host:$http_port$http_path
  [[ $host != *:* ]] || url=$http_scheme://[$host]:$http_port$http_path
  said=$(curl --silent --show-error --globoff --insecure --noproxy '*' --max-time "$timeout" \
    --output /dev/null --write-out '%{http_code}' "$url" 2>&1) ||
    { said=${said#000} && echo "$url: ${said%000}" && return 1; }
  if [[ -n $http_status ]]; then
    [[ $said == "$http_status" ]] || { echo "$url: status $said instead of $http_status" && return 1; }
  elif [[ $said != [23]?? ]]; then
    echo "$url: status $said"
    return 1
  fi
}

one_try() {
  all_units || return
  [[ -z $tcp ]] || accepts || return
  [[ -z $http_port ]] || answers || return
  [[ -z $script ]] || run "$root$script" "${script_name:-$script}" || return
  [[ ! -e $library/health ]] || run "$library/health" health || return
}

# The health report says it; a process of its own for that would cost as much as the look.
note_restarts() {
  local place sum=0
  for place in "${!units[@]}"; do
    sum=$((sum + ${now[$place.NRestarts]-0}))
  done
  { printf '%s' "$sum" >"$root/run/bakehouse/restarts"; } 2>/dev/null || : # of another user
}

main() {
  read_units
  trap note_restarts EXIT
  if [[ ${1-} == --watch ]]; then
    watch_units
  elif [[ ${1-} == --then-watch ]]; then
    one_try
    note_moment
    watch_units >"$root/run/bakehouse/watched" || exit 3
  else
    one_try
  fi
}

main "$@"
