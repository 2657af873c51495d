# What needs no order goes side by side: an install uses one core, and the smallest builder has two.
level=0 # of subshells: that of the script, or of what runs beside it
jobs=()

# beside COMMAND...: runs while the script goes on. Where it breaks, `joined` breaks; it must not write
# what the script writes meanwhile.
beside() {
  (
    level=$BASH_SUBSHELL
    "$@"
  ) &
  jobs+=("$!")
}

# joined: all of them have ended
joined() {
  local job
  for job in "${jobs[@]}"; do wait "$job"; done
  jobs=()
}
