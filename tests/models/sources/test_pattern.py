from __future__ import annotations

from edgecli.models.sources.pattern import select

PATHS = [
    ".gitattributes",
    "a.json",
    "b.json",
    "m.Q4_K_M.gguf",
    "onnx/model.onnx",
    "onnx/model.onnx_data",
    "x/y/m.Q4_K_M.gguf",
]


def chosen(pattern: str) -> dict[str, str]:
    found, missing = select(pattern, PATHS)
    assert not missing
    return found


def test_a_star_stays_within_a_folder() -> None:
    assert chosen("*.gguf") == {"m.Q4_K_M.gguf": "m.Q4_K_M.gguf"}
    assert set(chosen("*")) == {"a.json", "b.json", "m.Q4_K_M.gguf"}


def test_two_stars_cross_folders() -> None:
    assert set(chosen("**/*Q4_K_M.gguf")) == {"m.Q4_K_M.gguf", "x/y/m.Q4_K_M.gguf"}


def test_braces_name_several_and_keep_their_paths() -> None:
    assert chosen("{a.json,onnx/model.onnx*}") == {
        "a.json": "a.json",
        "onnx/model.onnx": "onnx/model.onnx",
        "onnx/model.onnx_data": "onnx/model.onnx_data",
    }


def test_a_folder_is_named_from_there_and_one_path_by_its_last_part() -> None:
    assert chosen("onnx/") == {"onnx/model.onnx": "model.onnx", "onnx/model.onnx_data": "model.onnx_data"}
    assert chosen("onnx/model.onnx") == {"onnx/model.onnx": "model.onnx"}


def test_dots_in_patterns_are_dots() -> None:
    assert select("mxQ4_K_M.gguf", PATHS) == ({}, ["mxQ4_K_M.gguf"])
    assert select("m?Q4_K_M.gguf", PATHS)[0] == {"m.Q4_K_M.gguf": "m.Q4_K_M.gguf"}


def test_what_matches_nothing_is_said() -> None:
    assert select("{a.json,c.json}", PATHS) == ({"a.json": "a.json"}, ["c.json"])
