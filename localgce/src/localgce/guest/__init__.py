"""The contents of the public image: the files below `root/`, and its boot loader."""
