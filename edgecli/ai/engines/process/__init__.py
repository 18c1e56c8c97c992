"""A model in a process of its own: an abort in native code ends that process and nothing else.

    parent.py ── pipes, frames.py ── child.py
    (in the server)                  (the model's process)

What kinds of models say to each other over it is in `llama_cpp/` and `embedding_process.py`.
"""
