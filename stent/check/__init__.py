"""`stent check`: what would not replay, found in the source without importing or running it."""
