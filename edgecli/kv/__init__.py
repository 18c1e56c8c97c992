"""KV namespaces: values under keys, with metadata and an end, in SQLite."""
