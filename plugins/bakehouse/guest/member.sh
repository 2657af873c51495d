# read_member VARIABLE KEY FILE: sets it to the text at a key that stands once, or first, in a JSON file;
# empty without one. No process of its own, as `member` in a $(...) is.
read_member() {
  local text
  text=$(<"$3")
  [[ $text =~ \"$2\":\ *\"([^\"]*)\" ]] || :
  printf -v "$1" %s "${BASH_REMATCH[1]-}"
}

# member KEY FILE: tells it
member() {
  local found
  read_member found "$1" "$2"
  printf %s "$found"
}
