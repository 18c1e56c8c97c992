"""`edgecli vectorize`: vector indexes, with wrangler's commands, flags and words, and some of our own."""

from __future__ import annotations

from collections.abc import Callable

from edgecli.cli import EdgeTyper
from edgecli.vectorize import care_commands as care
from edgecli.vectorize import index_commands as indexes
from edgecli.vectorize import metadata_index_commands as metadata
from edgecli.vectorize import vector_commands as vectors
from edgecli.vectorize.wrangler_options import WranglerCommand

app = EdgeTyper(help="Create, fill, query, keep and delete vector indexes.")

_COMMANDS: dict[str, dict[str, Callable[..., None]]] = {
    "Indexes": {
        "create": indexes.create,
        "list": indexes.list_indexes,
        "get": indexes.get,
        "info": indexes.info,
        "delete": indexes.delete,
    },
    "Vectors": {
        "insert": vectors.insert,
        "upsert": vectors.upsert,
        "query": vectors.query,
        "get-vectors": vectors.get_vectors,
        "delete-vectors": vectors.delete_vectors,
        "list-vectors": vectors.list_vectors,
    },
    "Metadata indexes": {
        "create-metadata-index": metadata.create_metadata_index,
        "list-metadata-index": metadata.list_metadata_index,
        "delete-metadata-index": metadata.delete_metadata_index,
    },
    "Care (edgecli's own)": {
        "verify": care.verify,
        "compact": care.compact,
        "export": care.export,
        "import": care.import_,
        "migrate": care.migrate,
    },
}

for _panel, _members in _COMMANDS.items():
    for _name, _command in _members.items():
        app.command(_name, cls=WranglerCommand, rich_help_panel=_panel)(_command)
