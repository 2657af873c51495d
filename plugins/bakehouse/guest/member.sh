# member KEY FILE: the text at a key that stands once, or first, in a JSON file
member() {
  local text
  text=$(<"$2")
  [[ $text =~ \"$1\":\ *\"([^\"]*)\" ]] || return 0
  printf %s "${BASH_REMATCH[1]}"
}
