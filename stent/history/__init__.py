"""What is remembered: events, the fold over them, and the stores that keep them.

Nothing here knows commands, workers or functions. SQL is in `stent.history.sql` only.
"""
