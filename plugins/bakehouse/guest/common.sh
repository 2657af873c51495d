# Shared by bake, boot and smoke. BAKEHOUSE_ROOT is the folder that stands for / (empty on a
# machine), GCE_METADATA_HOST the metadata server's address as Google's own libraries name it.
root=${BAKEHOUSE_ROOT-}
work=$root/run/bakehouse
serial=$root/dev/ttyS0
metadata=http://${GCE_METADATA_HOST:-169.254.169.254}/computeMetadata/v1
nonce=

# ask CURL-ARGUMENTS...: one request to the metadata server, whatever proxy is set
ask() {
  curl --silent --fail --noproxy '*' --max-time 10 --header 'Metadata-Flavor: Google' "$@"
}

# put KEY VALUE: a guest attribute; tried again for some seconds unless it is refused. Never more
# than three a second, beyond which Compute Engine may drop what is written.
put() {
  local code early before=0 # microseconds
  [[ ! -e $work/put_at ]] || read -r before <"$work/put_at"
  early=$((350000 - ${EPOCHREALTIME//[!0-9]/} + before))
  ((early <= 0)) || sleep "$(printf '0.%06d' "$early")"
  for _ in 1 2 3 4 5; do
    code=$(printf %s "$2" | ask --output /dev/null --write-out '%{http_code}' --request PUT \
      --data-binary @- "$metadata/instance/guest-attributes/bakehouse/$1") || :
    echo "${EPOCHREALTIME//[!0-9]/}" >"$work/put_at" # from the answer on: how long the way took is not known
    case $code in
      2*) return 0 ;;
      403 | 404) return 1 ;;
    esac
    sleep 2
  done
  return 1
}

# say MEMBERS: one structured line on the serial port, whole even where the journal writes too
say() {
  local line=$work/line.$BASHPID
  printf '\nbakehouse {"nonce": "%s", %s}\n' "$nonce" "$1" >"$line"
  cat "$line" >>"$serial" || :
}

# quote TEXT [MOST]: a JSON string, at most 1500 characters of it
quote() {
  local LC_ALL=C.UTF-8 text
  text=${1:0:${2:-1500}}
  text=${text//\\/\\\\}
  text=${text//\"/\\\"}
  text=${text//$'\n'/\\n}
  text=${text//$'\t'/\\t}
  printf '"%s"' "${text//[[:cntrl:]]/}"
}

# problem SCRIPT LINE COMMAND EXIT_CODE MESSAGE: the error object of the contract
problem() {
  printf '{"script": %s, "line": %d, "command": %s, "exit_code": %d, "message": %s}' \
    "$(quote "$1")" "$2" "$(quote "$3")" "$4" "$(quote "$5")"
}
