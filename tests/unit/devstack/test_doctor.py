"""`devstack doctor`: disk and QEMU."""

from __future__ import annotations

from typing import TYPE_CHECKING

from devstack import doctor, machines

if TYPE_CHECKING:
    from pathlib import Path

    import pytest


def test_it_names_what_is_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "DISK_GB", 10**9)
    monkeypatch.setattr(machines, "doctor", lambda: (False, "FAIL  socat      is not installed\n"))
    disk, real = doctor.examine(tmp_path)
    assert not disk.ok
    assert "free some space" in disk.detail
    assert (real.ok, real.detail) == (False, "socat is not installed")


def test_it_passes_where_nothing_is_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(doctor, "DISK_GB", 0)
    monkeypatch.setattr(machines, "doctor", lambda: (True, "ok    qemu\n"))
    assert all(check.ok for check in doctor.examine(tmp_path))
