"""Anthropic's Messages API: blocks in, blocks out, and a stream of named events."""
