"""What goes into the public image: the files below `root/` and how its disk comes to boot."""
