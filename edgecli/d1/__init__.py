"""D1 databases: SQLite, each in a file of its own."""
