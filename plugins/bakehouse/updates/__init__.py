"""Whether the packages of an image have newer versions in the archives that it installs from."""
