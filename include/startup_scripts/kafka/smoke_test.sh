# Runs on a throw-away machine that has booted the candidate: a cluster of one.
broker() { systemctl show --property=MainPID --value kafka; }
archive_is_used() { grep -F /opt/kafka/kafka.jsa "/proc/$(broker)/maps"; } # java maps what fits, and nothing else
no_root() { [[ $(ps -o user= -p "$(broker)") == kafka ]]; }
limit() { grep -E '^Max open files +131072' "/proc/$(broker)/limits"; }
no_jmx() { ! tr '\0' '\n' <"/proc/$(broker)/cmdline" | grep jmxremote; }
all_commands() { while read -r name _; do command -v "$name"; done </opt/kafka/tools; }
has_formats() { grep -A 2 '"metadata.version"' /etc/bakehouse/formats.json; }
writes_and_reads() {
  local server
  server=$(sed -n 's/^advertised.listeners=PLAINTEXT:..\([^,]*\).*/\1/p' /etc/kafka/server.properties)
  kafka-topics.sh --bootstrap-server "$server" --create --topic smoke --partitions 1 &&
    /opt/kafka-agent/venv/bin/python /opt/kafka/setup/write_and_read.py "$server" smoke
}

check "the archive of classes is used" "java -Xlog:cds -XX:SharedArchiveFile=/opt/kafka/kafka.jsa" archive_is_used
check "the broker does not run as root" "files/kafka.service" no_root
check "it may open many files" "files/kafka.service" limit
check "JMX is off" "the metadata kafka-jmx-port" no_jmx
check "all commands are on the PATH" "files/tools" all_commands
check "the image says which versions of features it supports" "setup/describe_kafka.py" has_formats
check "a record is written and read" "journalctl -u kafka" writes_and_reads
