"""Workers: user code with bindings, in Python on CPython and in JavaScript on workerd.

spec.py       what a Worker is: its code, its bindings, its variables
process.py    what runs one (`python/`, `workerd/`), and how it fails
worker.py     a Worker that stays: reload, last good process, restart
channel.py    what its bindings call
journal.py    what it says and answers: logs, requests, exceptions
"""
