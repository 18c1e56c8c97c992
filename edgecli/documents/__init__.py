"""Files become Markdown-like text with structure, and the text becomes chunks."""
