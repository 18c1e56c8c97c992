"""KV: keys and values in namespaces, in one SQLite file.

limits.py          what a key, a value and its metadata may be, with the cloud's texts
service.py         put, get, delete, list
binding_routes.py  what a Worker's binding calls
routes.py          Cloudflare's REST API
"""
