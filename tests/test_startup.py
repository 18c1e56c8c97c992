"""What a bare call may import: nothing heavy, so that help and version come at once."""

import subprocess
import sys

import pytest

HEAVY = {
    "torch",
    "chromadb",
    "llama_cpp",
    "onnxruntime",
    "sentence_transformers",
    "transformers",
    "tokenizers",
    "httpx",
    "httpx2",
    "pydantic",
    "numpy",
    "starlette",
    "uvicorn",
}

LIST_MODULES = """
import sys
sys.argv = ["edgecli", *sys.argv[1:]]
from edgecli.entry import main
try:
    main()
except SystemExit as stop:
    assert not stop.code, stop.code
print("MODULES", *sorted({name.partition(".")[0] for name in sys.modules}))
"""


def modules_after(*arguments: str) -> set[str]:
    done = subprocess.run(
        [sys.executable, "-c", LIST_MODULES, *arguments], capture_output=True, text=True, timeout=60, check=True
    )
    return set(done.stdout.rsplit("MODULES", 1)[1].split())


@pytest.mark.parametrize(
    "arguments",
    [
        ("--help",),
        ("--version",),
        ("--json", "--help"),
        ("models", "--help"),
        ("vectorize", "--help"),
        ("rag", "ask", "-h"),
    ],
)
def test_help_and_version_import_nothing_heavy(arguments: tuple[str, ...]) -> None:
    assert modules_after(*arguments) & HEAVY == set()


def test_the_quick_way_imports_no_command_line_library_at_all() -> None:
    assert modules_after("--help") & {"typer", "rich", "click"} == set()
