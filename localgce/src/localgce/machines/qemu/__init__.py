"""Real machines: a QEMU process each."""
