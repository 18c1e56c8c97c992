"""D1: a SQLite file for each database.

rules.py           what SQL may do here
statements.py      cut a text into statements
database.py        one file: run statements, count what they did
service.py         the databases of a project
binding_routes.py  what a Worker's binding calls
routes.py          Cloudflare's REST API
"""
