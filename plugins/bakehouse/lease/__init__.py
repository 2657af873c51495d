"""Leases of fleets, contents and builder slots, in the ledger's store."""
