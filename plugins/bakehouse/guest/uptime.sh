# uptime_seconds: since the kernel started, 12.34
uptime_seconds() {
  local up
  read -r up _ <"$root/proc/uptime"
  printf %s "$up"
}
