# failure_of NAME EXIT_CODE LOG: the error object for a recipe's script that the prelude watched
failure_of() {
  local code=$2 line=0 script=$1 command='' message said
  message=$(tail -n 6 "$3")
  if [[ -s $work/record ]]; then
    { read -r _ && read -r _ && read -r line && read -r script && IFS= read -rd '' command; } \
      <"$work/record" || :
  fi
  # bash tells an unset variable in words only.
  said='line ([0-9]+): ([A-Za-z0-9_]+: unbound variable)'
  if [[ $line == 0 && $message =~ $said ]]; then
    line=${BASH_REMATCH[1]} command=${BASH_REMATCH[2]}
  fi
  problem "$script" "$line" "${command%$'\n'}" "$code" "$message"
}
