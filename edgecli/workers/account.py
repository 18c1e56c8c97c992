"""The one account of this machine, for clients that want one."""

ACCOUNT = "ed9ec11".ljust(32, "0")
"""Its id. Any other one in a path is taken for it."""
EMAIL = "you@localhost"
"""Whom it belongs to."""
