"""What every layer stands on: state, time, operations, faults, and the rules all resources share."""
