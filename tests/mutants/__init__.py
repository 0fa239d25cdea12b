"""Planted bugs: each breaks one promise in one place, and the tests named with it must notice.

    ./dev mutants              plant each in a copy of the tree, run its tests; about three minutes
    ./dev mutants reap limit   only those whose id or file has one of these words

Tests that no bug makes fail are worth nothing, so a mutant that survives is a missing test: write it, beside the others
of its module, and name it here. `table.py` gathers the mutants; `./dev test` checks that each of them still applies.
"""
