"""What lies below `/ai/v1/`: the APIs of OpenAI and Anthropic, as Workers AI offers them beside its own.

One module or folder an API: how its requests are read, and its answers, whole and as a stream. None of it needs a
model: requests become a `GenerationRequest`, answers are made from `Piece`s. `routes.py` joins the two ends.
"""
