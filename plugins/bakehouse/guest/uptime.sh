# read_uptime: sets `up`, the seconds since the kernel started, 12.34. A $(...) would be a process of its
# own, which costs more than what it reads.
read_uptime() {
  read -r up _ <"$root/proc/uptime"
}
