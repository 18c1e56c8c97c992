"""One parser a format: text in, `Parsed` out."""
