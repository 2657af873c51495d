# What tells one machine from another, and must not be in an image that many boot from. Paths are
# globs below /; `image.remove_files` adds to them, `image.shared_files` takes from them.

set -f # the globs are meant for later

# Made anew by first-boot.sh, before the services that need it.
made_at_first_boot=(
  /etc/ssl/private/ssl-cert-snakeoil.key
  /etc/ssl/certs/ssl-cert-snakeoil.pem
  /etc/iscsi/initiatorname.iscsi
  /etc/nvme/hostid
  /etc/nvme/hostnqn
  /etc/mailname
  /etc/bind/rndc.key
  /etc/dropbear/dropbear_*_host_key
  /etc/unbound/unbound_{control,server}.{key,pem}
)

# Made anew by whoever needs it, when it is missing.
made_by_its_owner=(
  # the system: machine-id is emptied besides; Google's guest agent makes host keys
  /etc/ssh/ssh_host_*
  /var/lib/systemd/random-seed
  /var/lib/systemd/credential.secret
  /var/lib/urandom/random-seed
  /boot/loader/random-seed
  /boot/efi/loader/random-seed
  /var/lib/NetworkManager/secret_key
  /var/lib/dkms/mok.{key,pub}
  /var/lib/shim-signed/mok/MOK.{priv,der}
  /var/lib/fwupd/pki/*
  /etc/cockpit/ws-certs.d/0-self-signed*
  # agents
  /etc/datadog-agent/auth_token
  /etc/gitlab-runner/.runner_system_id
  /var/lib/landscape/client/*.bpickle*
  /var/lib/ubuntu-advantage/{machine-token.json,private}
  # configuration management
  /etc/salt/minion_id
  /etc/salt/pki/{minion/minion,master/master}.{pem,pub}
  {/etc/puppet,/etc/puppetlabs/puppet,/var/lib/puppet}/ssl/*
  /etc/chef/client.pem
  /var/ossec/etc/client.keys
  # databases, queues and storage
  /var/lib/mysql/{auto.cnf,*.pem}
  /var/lib/*/.erlang.cookie
  /var/lib/glusterd/glusterd.info
  /var/lib/nfs/{state,sm/*,sm.bak/*}
  /var/lib/samba/private/secrets.tdb
  # networks
  {/var/lib/consul,/opt/consul,/opt/consul/data,/var/consul}/{node-id,checkpoint-signature}
  {/var/lib/nomad,/opt/nomad,/opt/nomad/data}/client/{client-id,secret-id}
  /var/lib/tailscale/*
  /var/lib/zerotier-one/{identity.{public,secret},authtoken.secret}
  /var/lib/tor/{keys/*,fingerprint*}
  /var/lib/{,net-}snmp/snmpd.conf
  /var/lib/postfix/{prng_exch,*_scache.*}
  # containers
  /etc/docker/key.json
  /var/lib/docker/{engine-id,swarm}
  /etc/rancher/node/password
  /var/lib/rancher/{k3s,rke2}/{server/{tls,cred,token,node-token},agent/*.key}
  /var/lib/kubelet/pki/*
)

# State of the machine or of its cluster: another one has its own, which may rightly be the same.
state_of_a_machine=(
  /etc/udev/rules.d/70-persistent-net.rules
  /var/lib/{dhcp,dhclient}/*.lease{,s}
  /var/lib/dhcpcd/*
  /var/lib/NetworkManager/{seen-bssids,timestamps,*.lease}
  /var/lib/chrony/*
  /var/lib/ntp*/*.drift
  /var/lib/munin-node/plugin-state/*
  /etc/lvm/{archive,backup}/*
  {/etc/puppet,/etc/puppetlabs/puppet,/var/lib/puppet}/ssl/{certs/ca.pem,crl.pem}
  /var/lib/rancher/{k3s,rke2}/agent/*.{crt,kubeconfig}
)

# Written from the metadata by the cloud's agents, which do so again. On two machines of a project it
# may rightly be the same: keys for all its machines, the number of a project.
written_from_metadata=(
  /root/.ssh/authorized_keys{,2}
  /home/*/.ssh/authorized_keys{,2}
  /var/lib/cloud/{data,instance,instances,sem}
  /var/lib/google/*
  /etc/google_instance_id
  /etc/default/instance_configs.cfg
  /etc/boto.cfg
)

# Where cloud-init writes the network's config from the instance's data, it does so again.
made_by_cloud_init=(
  /etc/netplan/50-cloud-init.yaml
  /etc/network/interfaces.d/50-cloud-init*
  /etc/sysconfig/network-scripts/ifcfg-eth0
)

# Nobody makes these again: whoever bakes them decides whether they are removed or shared.
never_made_again=(
  /etc/mysql/debian.cnf
  /etc/krb5.keytab
  /etc/corosync/authkey
  /etc/munge/munge.key
  /etc/crowdsec/{local,online}_api_credentials.yaml
  /etc/dropbear{/initramfs,-initramfs}/*_host_key
  /etc/elasticsearch/{elasticsearch.keystore,certs/*}
)

set +f

identity=$kept/identity # of the builder: hash, path and meaning, by tabs; the smoke test compares

# expand GLOB...: the paths that exist, with the folder that stands for / before each
expand() {
  local IFS= glob path
  (
    shopt -s nullglob dotglob globstar
    for glob in "$@"; do
      for path in $root$glob; do
        [[ ! -e $path && ! -L $path ]] || printf '%s\0' "$path"
      done
    done
  )
}

# is_shared PATH: whether the recipe, or one below it, says that all instances have the same
is_shared() {
  local glob
  for glob in "${shared_files[@]}"; do
    # shellcheck disable=SC2053 # a glob
    [[ $1 != $glob && $1 != $glob/* ]] || return 0
  done
  return 1
}

# note WHY PATH: the fingerprint of a file, or of each file of a folder
note() {
  local hash file
  while IFS= read -rd '' file; do
    hash=$(sha256sum <"$file")
    printf '%s\t%s\t%s\n' "${hash%% *}" "${file#"$root"}" "$1" >>"$identity"
  done < <(find "$2" -type f -size +0 -print0 2>/dev/null)
}

# forget WHY GLOB...: removes what is there, and remembers its fingerprint
forget() {
  local path why=$1
  while IFS= read -rd '' path; do
    is_shared "${path#"$root"}" || note "$why" "$path"
  done < <(expand "${@:2}")
  discard "$@"
}

# discard WHY GLOB...: removes what is there
discard() {
  local path why=$1
  while IFS= read -rd '' path; do
    is_shared "${path#"$root"}" && continue
    rm -rf -- "$path"
    echo "${path#"$root"}" >>"$work/forgotten"
    echo "not in the image: ${path#"$root"} ($why)"
  done < <(expand "${@:2}")
}

# tell WHY GLOB...: what stays, for the smoke test to find on a second machine
tell() {
  local path why=$1
  shift
  while IFS= read -rd '' path; do
    is_shared "${path#"$root"}" || note "$why" "$path"
  done < <(expand "$@")
}

# Notes the words by which nothing but this machine is called; a short one would be found everywhere.
names_of_the_builder() {
  {
    ask --write-out '\n' "$metadata/instance/"{name,id,network-interfaces/0/mac} || :
    cat "$root/etc/machine-id" 2>/dev/null || :
  } | awk 'length($0) >= 8 && !seen[$0]++' >"$work/names"
}

# Files of packages are the same everywhere; those that the recipe brings are meant.
is_known() {
  local hash
  grep -qxF -e "$1" "$root"/var/lib/dpkg/info/*.list 2>/dev/null && return 0
  hash=$(sha256sum <"$root$1")
  grep -qF -e "${hash%% *}" "$work/hashes_of_the_recipe"
}

# Without package caches and what package managers of languages unpack, keys of their tests included;
# and where archives are unpacked, only what is newer than the bake: they keep their own dates.
candidates() {
  files_in '' etc home root var/lib var/spool
  files_in "$kept/result" opt srv usr/local
}

# files_in FILE FOLDER...: those that are newer than the file, or all
files_in() {
  local newer=() folder folders=()
  [[ -z $1 ]] || newer=(-newer "$1")
  for folder in "${@:2}"; do
    [[ ! -d $root/$folder ]] || folders+=("$root/$folder")
  done
  ((${#folders[@]} == 0)) || find "${folders[@]}" -xdev \
    \( -path "$root/etc/bakehouse" -o -path "$root/var/lib/bakehouse" \
    -o -path "$root/var/lib/dpkg" -o -path "$root/var/lib/apt" \
    -o -path "$root/var/lib/containerd" -o -path "$root/var/lib/containers" \
    -o -path "$root/var/lib/docker" -o -name node_modules -o -name site-packages \
    -o -name dist-packages -o -name gems -o -name test -o -name tests -o -name testdata \) \
    -prune -o -type f -size +0 -size -1025k "${newer[@]}" -print0 || :
}

# told WHY: the files on standard input, by lines, unless they are known or shared
told() {
  local path
  while IFS= read -r path; do
    path=${path#"$root"}
    is_shared "$path" || is_known "$path" || note "$1" "$root$path"
  done
}

# containing GREP-ARGUMENT...: from and to names that end in NUL
containing() {
  LC_ALL=C xargs -0 -r grep -laZ "$@" || :
}

# named GREP-ARGUMENT...: from and to names that end in NUL
named() {
  LC_ALL=C grep -za "$@" || :
}

# What no list knows: files that name the builder, private keys with their content, and key stores.
search() {
  local files=$work/candidates words=$work/names key='-----BEGIN ([A-Z0-9]+ )*PRIVATE KEY( BLOCK)?'
  key+='|^PuTTY-User-Key-File-|AGE-SECRET-KEY-1|^ *PrivateKey *= *[A-Za-z0-9+/]{43}='
  key+='|client-key-data: *[A-Za-z0-9+/]{40}|BEGIN OpenVPN Static key'
  candidates >"$files"
  if [[ -s $words ]]; then
    containing -iF -f "$words" <"$files" | tr '\0' '\n' | told 'names the machine that baked it'
    named -iF -f "$words" <"$files" | tr '\0' '\n' | told 'is called like the machine that baked it'
  fi
  containing -E -e "$key" <"$files" | containing -E -e '[A-Za-z0-9+/]{40}|[0-9a-f]{32}$' |
    tr '\0' '\n' | told 'is a private key'
  named -E -e '\.(p12|pfx|jks|keystore|keytab)$' <"$files" | tr '\0' '\n' | told 'is a key store'
}

# What the services of an image need of this at their start, and nothing else makes.
needed_at_first_boot() {
  cat "$work/forgotten"
  [[ ! -x $root/usr/sbin/sshd ]] || compgen -G "$root/usr/bin/google_guest_agent*" >/dev/null ||
    echo /etc/ssh/ssh_host_keys
}

forget_identity() {
  : >"$identity"
  chmod 600 "$identity"
  note 'is the id of the machine' "$root/etc/machine-id"
  forget 'image.remove_files' "${remove_files[@]}"
  discard 'is state of a machine' "${state_of_a_machine[@]}"
  forget 'is made once per machine' "${made_by_its_owner[@]}"
  discard 'is written from the metadata' "${written_from_metadata[@]}"
  : >"$work/forgotten"
  forget 'is made once per machine' "${made_at_first_boot[@]}"
  needed_at_first_boot >"$library/first-boot.conf"
  if [[ -x $root/usr/bin/cloud-init ]]; then
    discard 'is made by cloud-init' "${made_by_cloud_init[@]}"
  else
    tell 'is made by cloud-init, which is not installed' "${made_by_cloud_init[@]}"
  fi
  tell 'is made once per machine, and nothing makes it again' "${never_made_again[@]}"
  : >"$root/etc/machine-id" # empty, not missing: missing would enable every service on boot
  if [[ -f $root/var/lib/dbus/machine-id && ! -L $root/var/lib/dbus/machine-id ]]; then
    ln -sf /etc/machine-id "$root/var/lib/dbus/machine-id"
  fi
  if grep -qsiF -f "$work/names" "$root/etc/hostname"; then : >"$root/etc/hostname"; fi
  [[ ! -e $root/etc/hosts ]] || sed -i '/# Added by Google$/d' "$root/etc/hosts"
  search
}
