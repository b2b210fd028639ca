"""One question a file, each with a constant QUESTION."""
