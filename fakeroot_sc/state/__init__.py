"""What a run remembers of files, outside of a run: records, state files, other formats."""
