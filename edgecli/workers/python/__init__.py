"""Python Workers: a process of CPython for each, with the `workers` module of Cloudflare."""
