"""Workers that `wrangler deploy` brought onto this machine.

upload.py            the form that wrangler sends
store.py             what lies on the disk
service.py           the Workers that run, each begun at its first request
wrangler_routes.py   the part of Cloudflare's API that wrangler calls
"""
