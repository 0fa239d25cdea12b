"""The SQL stores. The only package that names SQLAlchemy or a database driver."""
