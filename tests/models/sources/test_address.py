from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgecli.errors import ConfigError, UpstreamError
from edgecli.models.schema import ModelFile
from edgecli.models.sources import open_source
from edgecli.models.sources.address import (
    HubAddress,
    LocalAddress,
    WebAddress,
    WheelAddress,
    checked_name,
    default_name,
    parse,
    redacted,
)


@pytest.mark.parametrize(
    ("source", "address", "name"),
    [
        ("hf:a/b/c.gguf", HubAddress("a/b", None, "c.gguf"), "c.gguf"),
        ("hf:a/b@v1.0/d/c.gguf", HubAddress("a/b", "v1.0", "d/c.gguf"), "c.gguf"),
        ("hf:a/b/onnx/", HubAddress("a/b", None, "onnx/"), ""),
        ("hf:a/b/{x.json,y/*}", HubAddress("a/b", None, "{x.json,y/*}"), ""),
        ("pypi:p-q==1.0/p_q/m.bin", WheelAddress("p-q", "1.0", "p_q/m.bin"), "m.bin"),
        ("pypi:p==1.0/m/", WheelAddress("p", "1.0", "m/"), ""),
        ("https://x.example/a/模型.bin?sig=1", WebAddress("https://x.example/a/模型.bin?sig=1"), "模型.bin"),
        ("file:~/a.bin", LocalAddress("~/a.bin"), "a.bin"),
        ("file:///data/a.bin", LocalAddress("/data/a.bin"), "a.bin"),
    ],
)
def test_sources_are_read(source: str, address: object, name: str) -> None:
    assert parse(source) == address
    assert default_name(source) == name


@pytest.mark.parametrize(
    "source",
    [
        "",
        "model.gguf",
        "ftp://x/y",
        "hf:only-one-part",
        "hf:a/b/../c",
        "pypi:p/m.bin",
        "pypi:--index-url==1/x",
        "pypi:p==1.0/../../etc",
        "https:///nohost",
        "file:",
    ],
)
def test_what_is_no_source_is_refused_with_how_one_is_written(source: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse(source)
    assert caught.value.code == "bad_source"
    assert f"`{source}`" in caught.value.message


@pytest.mark.parametrize("name", ["", "/a", "../a", "a/../b", "a//b", "./a", "a\\b", "c:/x", "a/."])
def test_names_that_leave_the_folder_are_refused(name: str) -> None:
    with pytest.raises(ValueError, match="no path below"):
        checked_name(name)


@given(st.text(max_size=30))
def test_a_checked_name_never_leaves_the_folder(name: str) -> None:
    from pathlib import Path

    try:
        checked = checked_name(name)
    except ValueError:
        return
    root = Path("/store/model")
    assert (root / checked).is_relative_to(root)
    assert ".." not in checked.split("/")


def test_secrets_of_an_address_are_not_shown() -> None:
    assert redacted("https://user:secret@x.example/a?sig=secret#f") == "https://x.example/a"


def test_the_variable_that_forbids_the_network_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    file = ModelFile("https://example.com/a.gguf", "a.gguf")
    for value, named in (("1", "`EDGECLI_OFFLINE` is set"), ("0", "`--offline` or")):
        monkeypatch.setenv("EDGECLI_OFFLINE", value)
        with pytest.raises(UpstreamError, match=named):
            open_source(file, offline=True)
