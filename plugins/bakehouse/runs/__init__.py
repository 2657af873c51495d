"""The end of a run: its result, its note, its deadlines."""
