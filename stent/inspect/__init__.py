"""Tools over histories and databases: for people, for tests, and for `stent doctor`."""
