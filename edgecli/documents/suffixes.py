"""Which format a file has, by its name."""

from __future__ import annotations

from pathlib import Path, PurePath

_FORMATS = {
    "markdown": "md markdown mdown mkd mdx qmd rmd",
    "text": "txt text log adoc asciidoc org tex srt vtt eml",
    "html": "html htm xhtml xht",
    "pdf": "pdf",
    "rst": "rst rest",
    "csv": "csv tsv tab psv",
    "json": "json jsonl ndjson geojson webmanifest",
    "code": """
        py pyi pyx js mjs cjs ts mts cts tsx jsx java c h cc cpp cxx hh hpp hxx m mm cs fs fsx vb go
        rs rb php swift kt kts scala groovy gradle sh bash zsh fish ps1 psm1 bat cmd sql r jl lua pl
        pm tcl ex exs erl hrl hs elm ml mli clj cljs cljc edn lisp el scm rkt nim zig d dart v sv
        vhd vhdl asm s f f90 f95 for pas cob vue svelte astro css scss sass less proto thrift
        graphql gql tf tfvars hcl nix cmake mk bzl dockerfile makefile wat yaml yml toml ini cfg
        conf properties xml xsd xsl jsonc json5 diff patch
    """,
}
_BY_SUFFIX = {suffix: name for name, suffixes in _FORMATS.items() for suffix in suffixes.split()}
_CODE_FILES = """
    makefile gnumakefile dockerfile containerfile jenkinsfile rakefile gemfile procfile justfile
"""
_CODE_FILE_NAMES = frozenset(_CODE_FILES.split())
LINES = frozenset(("log", "jsonl", "ndjson"))
"""Suffixes of files in which each line stands for itself."""


def suffix_of(path: PurePath) -> str:
    """Return the suffix in lower case without its dot; empty where there is none."""
    return path.suffix[1:].lower()


def format_of(path: PurePath) -> str | None:
    """Return the format that the name tells; `text` for a name without suffix, None for an unknown suffix."""
    suffix = suffix_of(path)
    if path.name.lower().split(".", 1)[0] in _CODE_FILE_NAMES:
        return "code"
    return _BY_SUFFIX.get(suffix) if suffix else "text"


def suffixes() -> list[str]:
    """Return the suffixes that are known, without their dots."""
    return list(_BY_SUFFIX)


def supported(path: Path) -> bool:
    """Tell by the name whether `read_document` is likely to read the file.

    A name without suffix may be anything and passes; a hidden one (`.env`, `.npmrc`) does not: it often holds
    secrets.
    """
    return not path.name.startswith(".") and format_of(path) is not None
