"""Begin a chat: make its session, and choose between terminal and pipe."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edgecli.chat.lookup import Lookup
from edgecli.chat.session import Session
from edgecli.chat.stop import ended_by_sigterm

if TYPE_CHECKING:
    from edgecli.client import Client
    from edgecli.config.project import Project

ANSWER_TOKENS = 1024
"""Longest answer where neither the call nor the project says: Workers AI's own 256 cut most answers short."""


def start_chat(
    client: Client,
    project: Project,
    *,
    index: str | None,
    model: str | None,
    system: str | None,
    top_k: int | None,
    max_tokens: int | None,
    temperature: float | None,
    as_json: bool,
    terminal: bool,
) -> None:
    """Chat until the input ends. Raises EdgeError; in a pipe also where a turn fails."""
    session = Session(
        model=model or project.settings.generation_model,
        index=index,
        system=system,
        top_k=top_k,
        max_tokens=max_tokens or _longest_answer(project, index),
        temperature=temperature,
    )
    lookup = Lookup(client, {binding.binding: binding.index_name for binding in project.vectorize})
    with ended_by_sigterm():
        if model is not None:
            lookup.find_model(model)
        if not terminal:
            from edgecli.chat.pipe import run_pipe

            run_pipe(client, session, lookup, as_json=as_json)
            return
        from edgecli.chat.repl import Repl

        if index is not None:
            session.index = lookup.find_index(index)
        Repl(client, session, lookup).run()


def _longest_answer(project: Project, index: str | None) -> int:
    if index is not None:
        return project.settings.rag.max_tokens
    origin = project.origins.get("edgecli.generation.max_tokens")
    said = origin is not None and origin.kind != "default"
    return project.settings.generation.max_tokens if said else ANSWER_TOKENS
