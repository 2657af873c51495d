# render_again LIMIT: the templates with the metadata of now; sets state, code and detail. Either all
# files are written or none. What the recipe names for a file that has changed is restarted.
render_again() {
  local said changed diff end up
  state=failed code=0
  read_uptime
  end=$((${up%.*} + $1))
  ask --fail-early "$metadata/instance/?recursive=true&alt=json" -o "$memory/instance.json" \
    "$metadata/project/attributes/?recursive=true&alt=json" -o "$memory/project.json" || {
    detail='the metadata server does not answer'
    return 0
  }
  [[ -e $work/instance.json ]] || cp "$memory/instance.json" "$work/"
  [[ -e $work/project.json ]] || cp "$memory/project.json" "$work/"
  timeout --kill-after=5 120 python3 -I "$library/config_changes.py" --templates "$library/templates" \
    --image "$facts" --instance "$memory/instance.json" --project "$memory/project.json" \
    --instance-before "$work/instance.json" --project-before "$work/project.json" --root "$root/" \
    --changed "$memory/changed" </dev/null >"$memory/said" 2>&1 || code=$?
  diff=$(<"$memory/said")
  detail=$diff
  ((code == 0)) || return 0
  mv "$memory/instance.json" "$memory/project.json" "$work/"
  mapfile -t changed <"$memory/changed"
  if ((${#changed[@]} == 0)); then
    state=ok detail='no file has changed'
    return 0
  fi
  said=$(restart_for "${changed[@]}" 2>&1) || code=$?
  if ((code == 0)); then
    until_ready_again "$end"
    [[ $state == ok ]] || said+=$'\n'"$detail"
  fi
  detail=$said$'\n'$diff
}

# restart_for FILE...: reloads or restarts the units that the recipe names, each once, in its order
restart_for() {
  local verb unit pattern file verbs=() units=() place
  [[ ${*/#/ } != *" /etc/systemd/"* && " $*" != *" /etc/systemd/"* ]] || systemctl daemon-reload
  if [[ -s $library/on_change ]]; then
    while IFS=$'\t' read -r verb unit pattern; do
      for file in "$@"; do
        # shellcheck disable=SC2053 # it is a pattern
        [[ $file == $pattern && " ${units[*]-} " != *" $verb:$unit "* ]] || continue
        verbs+=("$verb")
        units+=("$verb:$unit")
      done
    done <"$library/on_change"
  fi
  echo "changed: $*"
  for place in "${!units[@]}"; do
    unit=${units[place]#*:}
    timeout --kill-after=5 300 systemctl "${verbs[place]}" "$unit" || {
      echo "systemctl ${verbs[place]} $unit failed"
      return 1
    }
    echo "${verbs[place]}: $unit"
  done
  ((${#units[@]})) || echo 'nothing is restarted: the recipe names nothing for these files'
}

# until_ready_again UPTIME: sets state and detail; busy is an answer too, and unhealthy is one then
until_ready_again() {
  local up
  while :; do
    timeout --kill-after=5 180 "$library/report" </dev/null >/dev/null 2>&1 || :
    of_health
    [[ $state == failed ]] || return 0
    read_uptime
    ((${up%.*} < $1)) || return 0
    sleep 2
  done
}
