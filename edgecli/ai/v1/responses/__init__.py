"""OpenAI's Responses API: items in, items out, and a stream of numbered events."""
