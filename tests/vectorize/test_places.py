"""What is said of a Chroma server whose settings cannot be used: never a secret."""

from __future__ import annotations

from dataclasses import replace

import pytest

from edgecli.config.settings import VectorizeSettings
from edgecli.doctor.state import vectors_on_server
from edgecli.errors import ConfigError
from edgecli.vectorize.places import configured_server

SETTINGS = VectorizeSettings(url="http://127.0.0.1:9", token="token")


@pytest.mark.parametrize(
    ("wrong", "code"),
    [
        ({"token": "sec\nret"}, "chroma_token"),
        ({"token": "sec ret"}, "chroma_token"),
        ({"token": "secr\u00e9t"}, "chroma_token"),
        ({"url": "http://user:secret@127.0.0.1:9"}, "chroma_url"),
    ],
)
def test_what_cannot_be_sent_is_told_and_not_shown(wrong: dict[str, str], code: str) -> None:
    settings = replace(SETTINGS, **wrong)
    server = configured_server(settings)
    assert server is not None
    with pytest.raises(ConfigError) as caught:
        server.check()
    assert caught.value.code == code
    shown = str(caught.value.to_dict()) + str(vectors_on_server(settings))
    assert "sec" not in shown


def test_space_around_a_token_is_not_a_part_of_it() -> None:
    server = configured_server(replace(SETTINGS, token=" token\n"))
    assert server is not None
    assert server.token == "token"
