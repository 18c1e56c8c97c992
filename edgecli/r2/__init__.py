"""R2 buckets: objects with metadata, on this disk."""
