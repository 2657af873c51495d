# failure_of NAME EXIT_CODE LOG: the error object for a recipe's script that the prelude watched
failure_of() {
  local LC_ALL=C.UTF-8 code=$2 line=0 script=$1 command='' message said
  message=$(tail -n 6 "$3" | iconv -c -f UTF-8 -t UTF-8) || : # whatever bytes a tool may print
  ((${#message} <= 1200)) || message=${message: -1200}
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
