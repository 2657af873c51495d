"""What every layer uses: state, time, operations, faults, rules that all resources share."""
