"""Replaces the boot disks of a fleet's members, stage by stage, and rolls back."""
