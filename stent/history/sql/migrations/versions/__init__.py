"""One file a version of the tables, in the order of their numbers; each is read by Alembic, and nobody imports them."""
