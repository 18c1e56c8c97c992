"""Text generation with llama.cpp, for many requests at once, in a process of its own.

    process.py ── pipe ── worker.py ── engine.py ── scheduler.py ── context.py ── llama.cpp
    (in the server)       (in the model's process)      │
                                                prefix_tree.py, job.py

`process.py` starts the model's process and speaks with it; `worker.py` is that process. `engine.py` loads the model,
makes prompts of requests and hands them to the `scheduler`, whose thread alone calls llama.cpp's context.
"""
