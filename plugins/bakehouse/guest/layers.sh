# Layers of the install, for local builds only: whoever builds keeps the disk as it is after a part, and
# a later builder goes on from there. Without these attributes everything is installed.
installed=0 # parts of the install that the disk has already
keeps_layers=

begin_layers() {
  installed=$(fetched bakehouse-installed-parts)
  installed=${installed:-0}
  keeps_layers=$(fetched bakehouse-keeps-layers)
  [[ -z $keeps_layers ]] || list_starts >"$work/starts-before"
  ((installed == 0)) || restore_starts
}

# What an install has enabled must not start with the builder that goes on from its layer: it would
# write its first state (keys, data) into the image. So a layer is without the links for it.
list_starts() {
  { find "$root"/etc/systemd/system "$root"/etc/rc?.d -type l -printf '%p\t%l\n' 2>/dev/null || :; } | sort
}

take_starts() {
  local link
  list_starts | comm -13 "$work/starts-before" - >"$kept/starts"
  while IFS=$'\t' read -r link _; do rm -f "$link"; done <"$kept/starts"
}

restore_starts() {
  local link target
  [[ -e $kept/starts ]] || return 0
  while IFS=$'\t' read -r link target; do
    mkdir -p "${link%/*}"
    ln -sfn "$target" "$link"
  done <"$kept/starts"
}

# attribute KEY: of the instance; nothing where it is not set
attribute() {
  ask --retry 5 "$metadata/instance/attributes/$1" || :
}

# What a part reads of the recipe decides when its layer is of use again: with relatime a file's time of
# access is renewed by the first read after it was set back.
note_reads() {
  find "$payload/recipe" -exec touch --no-dereference --no-create --time=atime --date=@1 {} +
}

reads() {
  local probe=$payload/probe
  echo probe >"$probe"
  touch --time=atime --date=@1 "$probe"
  cat "$probe" >/dev/null
  if [[ $(stat --format=%X "$probe") == 1 ]]; then
    echo '*' # mounted noatime: nothing is known
  else
    find "$payload/recipe" -newerat @2 -printf '%P\n'
  fi
  rm -f "$probe"
}

# keep_layer NUMBER: the settings of this builder are no part of a layer; the next one has its own
keep_layer() {
  local found
  found=$(reads)
  if (($1 == ${#parts[@]})); then
    note_packages
    note_sources_of_image
    cp "$work"/{packages,passed_over,sources-of-image} "$kept/"
  fi
  leave_settings
  rm -f "${package_settings[@]}"
  take_starts
  sync
  put layer "$(printf '%s\n%s\n' "$1" "$found")" || :
  for _ in {1..300}; do
    [[ $(attribute bakehouse-layer-kept) != "$1" ]] || break
    sleep 0.3
  done
  restore_starts
  become_builder
}
