# with_service UNIT COMMAND...: runs the unit for the time of the command. Packages start nothing on a
# builder, and nothing that runs while a disk is read belongs into an image; systemctl may.
with_service() {
  local bakehouse_command="with_service $*" unit=$1 ours= code=0
  shift
  systemctl daemon-reload
  if ! systemctl is-active --quiet "$unit"; then
    ours=yes
    if ! systemctl start "$unit"; then
      systemctl --no-pager --full --lines=20 status "$unit" || true
      false
    fi
  fi
  "$@"
  code=$?
  [[ -z $ours ]] || systemctl stop "$unit"
  return "$code"
}
