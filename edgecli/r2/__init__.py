"""R2: objects in buckets. Their bytes are files, what is known of them lies in SQLite.

errors.py          what R2 refuses, with its numbers and texts
schema.py          objects, conditions, ranges
request.py         the requests of the binding
files.py           the files: written whole, read in pieces, deleted when nobody reads them
catalog.py         SQLite: which object has which files
uploads.py         uploads in parts
service.py         put, get, head, delete, list
binding_routes.py  what a Worker's binding calls
"""
