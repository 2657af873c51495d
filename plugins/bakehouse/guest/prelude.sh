# Read by bash before a recipe's own script (BASH_ENV), so that its line numbers are its own.
# Makes it strict, and writes down what failed: depth, exit code, line, script, command.
unset BASH_ENV
set -Eeuo pipefail

bakehouse_record() {
  local depth=$BASH_SUBSHELL code=$1 kept_depth=-1 kept_code= line=$2 command=$3 file=$4
  if [[ -n ${bakehouse_command-} && $file == */prelude.sh ]]; then # in a helper: its caller's line
    line=${BASH_LINENO[1]} command=$bakehouse_command file=${BASH_SOURCE[2]}
  fi
  if [[ -s $BAKEHOUSE_RECORD ]]; then
    { read -r kept_depth && read -r kept_code; } <"$BAKEHOUSE_RECORD"
  fi
  # A failure passes through each ( ) around it; the innermost is the one to name.
  if ((kept_depth > depth)) && [[ $kept_code == "$code" ]]; then return; fi
  printf '%s\n' "$depth" "$code" "$line" "${file##*/}" "$command" >"$BAKEHOUSE_RECORD"
}

exit() {
  local code=${1-$?}
  if [[ $code != 0 && $BASH_SUBSHELL == 0 ]]; then
    bakehouse_record "$code" "${BASH_LINENO[0]}" "exit $code" "${BASH_SOURCE[1]-$0}"
  fi
  builtin exit "$code"
}

trap 'bakehouse_record "$?" "$LINENO" "$BASH_COMMAND" "${BASH_SOURCE[0]-$0}"' ERR
