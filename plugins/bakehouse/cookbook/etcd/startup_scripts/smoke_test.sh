# Runs on a throw-away machine that has booted the candidate.
export ETCDCTL_API=3 ETCDCTL_ENDPOINTS=http://127.0.0.1:2379
writes_and_reads() {
  etcdctl put smoke written
  [[ $(etcdctl get --print-value-only smoke) == written ]]
}
# its id comes from the token, which is the instance's id unless a cluster is declared
own_token() { grep -x "ETCD_INITIAL_CLUSTER_TOKEN=[0-9]*" /etc/default/etcd; }
local_only() { ! ss -Hltn | awk '{print $4}' | grep -E ':(2379|2380)$' | grep -vE '^127\.0\.0\.1:'; }

check "a key is written and read" "journalctl -u etcd" writes_and_reads
check "the cluster is this machine's own" "templates/etc/default/etcd.j2" own_token
check "it listens on loopback only" "the metadata etcd-listen" local_only
