"""A root shell on a virtual console, for whoever owns this computer.

The machine gets the console when it is asked for: a port that is plugged in then. What starts a
shell on it reaches the guest as a systemd credential of the machine (SMBIOS, `tmpfiles.extra`),
which systemd writes below /run: nothing of it is on the disk, so no image has it.
"""

from __future__ import annotations

from base64 import b64encode

DEVICE = "hvc0"
CONTROLLER = "consoles"
PORT = "console"

_UNIT = f"""[Unit]
Description=Shell on the console of localgce
[Service]
ExecStart=/bin/bash -l
Environment=HOME=/root SHELL=/bin/bash TERM=xterm-256color HISTFILE=
WorkingDirectory=/root
StandardInput=tty-force
StandardOutput=tty
StandardError=tty
TTYPath=/dev/{DEVICE}
TTYReset=yes
TTYVHangup=yes
Restart=always
RestartSec=0
KillMode=process
IgnoreSIGPIPE=no
SendSIGHUP=yes
"""
_RULE = (
    f'SUBSYSTEM=="tty", KERNEL=="{DEVICE}", TAG+="systemd",'
    ' ENV{SYSTEMD_WANTS}+="localgce-console.service"\n'
)
_FILES = {
    "/run/systemd/system/localgce-console.service": _UNIT,
    "/run/udev/rules.d/99-localgce-console.rules": _RULE,
}


def credential() -> str:
    """The value of the SMBIOS string that brings the files."""
    lines = [f"f~ {path} 0644 root root - {_encoded(text)}" for path, text in _FILES.items()]
    return "io.systemd.credential.binary:tmpfiles.extra=" + _encoded("\n".join(lines) + "\n")


def _encoded(text: str) -> str:
    return b64encode(text.encode()).decode("ascii")
