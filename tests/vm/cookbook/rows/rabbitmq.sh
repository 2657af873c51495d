password=$(openssl rand -hex 20)
rabbitmqctl --quiet delete_user keeper || true
rabbitmqctl --quiet add_user keeper "$password"
rabbitmqctl --quiet set_user_tags keeper management
rabbitmqctl --quiet set_permissions keeper '.*' '.*' '.*'
api() {
  curl --silent --show-error --fail-with-body --max-time 60 --user "keeper:$password" \
    --header 'Content-Type: application/json' "http://127.0.0.1:15672/api/$1" "${@:2}"
}
api queues/%2F/kept --request PUT --data '{"durable": true}'
read_rows() {
  api queues/%2F/kept/get --data '{"count": 9, "ackmode": "ack_requeue_true", "encoding": "auto"}' |
    python3 -c 'import json, sys; print(*(m["payload"] for m in json.load(sys.stdin)), sep="\n")'
}
write_row() {
  api exchanges/%2F/amq.default/publish --data '{"routing_key": "kept", "payload": "'"$1"'",
    "payload_encoding": "string", "properties": {"delivery_mode": 2}}' >/dev/null
}
own() { sha256sum </var/lib/rabbitmq/.erlang.cookie | cut -c 1-16; }
