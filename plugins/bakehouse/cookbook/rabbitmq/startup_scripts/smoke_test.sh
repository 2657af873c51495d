# Runs on a throw-away machine that has booted the candidate.
api() {
  curl --silent --show-error --fail-with-body --noproxy '*' --max-time 60 \
    --user "smoke:$password" --header 'Content-Type: application/json' "http://127.0.0.1:15672/api/$1" "${@:2}"
}
writes_and_reads() {
  password=$(openssl rand -hex 20)
  rabbitmqctl --quiet add_user smoke "$password"
  rabbitmqctl --quiet set_user_tags smoke management
  rabbitmqctl --quiet set_permissions smoke '.*' '.*' '.*'
  api queues/%2F/smoke --request PUT --data '{"durable": true}'
  api exchanges/%2F/amq.default/publish --data '{"routing_key": "smoke", "payload": "written",
    "payload_encoding": "string", "properties": {"delivery_mode": 2}}'
  api queues/%2F/smoke/get --data '{"count": 1, "ackmode": "ack_requeue_false", "encoding": "auto"}' |
    grep '"payload":"written"'
}
no_guest() {
  local users
  users=$(rabbitmqctl --quiet list_users --no-table-headers)
  echo "$users"
  [[ $users != *guest* ]]
}
local_only() {
  ! ss -Hltn | awk '{print $4}' | grep -E ':(4369|5672|15672|25672)$' |
    grep -vE '^(127\.0\.0\.1|\[::1\]|\[::ffff:127\.0\.0\.1\]):'
}

check "a message is written and read" "/var/log/rabbitmq" writes_and_reads
check "there is no user guest" "files/rabbitmq-health-user" no_guest
check "it listens on loopback only" "the metadata rabbitmq-listen" local_only
