"""Archives, written straight from a tree and what is remembered of it."""
