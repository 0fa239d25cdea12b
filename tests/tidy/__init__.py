"""The rules of the house as pure functions over source text. `tests/test_tidy.py` applies them to the repository.

A rule takes a `Repository` (texts by path) and returns its breaches; it reads no file and imports nothing of Stent.
A new rule goes into the file of its subject, into `RULES` of `rules.py`, and into `test_rules.py` with at least one
planted breach and one near miss.
"""
