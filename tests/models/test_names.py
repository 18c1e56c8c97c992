from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from edgecli.models.catalog import Catalog
from edgecli.models.names import folder_name

ids = st.text(st.characters(codec="utf-8"), min_size=1, max_size=60) | st.text("@cf/-.ABab+%~. ", min_size=1)


def test_a_usual_id_stays_readable() -> None:
    assert folder_name("@cf/baai/bge-base-en-v1.5") == "@cf+baai+bge-base-en-v1.5"


@given(ids)
def test_a_name_is_one_plain_part_of_a_path(model_id: str) -> None:
    name = folder_name(model_id)
    assert 0 < len(name.encode()) <= 150
    assert not set(name) & set('/\\:*?"<>| \0')
    assert not name.startswith(".")
    assert not name.endswith(".")
    assert name.isascii()


@given(ids, ids)
def test_two_ids_never_share_a_folder_even_where_case_is_ignored(one: str, other: str) -> None:
    assert (folder_name(one).lower() == folder_name(other).lower()) == (one == other)


def test_long_ids_stay_apart() -> None:
    assert folder_name("模" * 300 + "a") != folder_name("模" * 300 + "b")


def test_the_catalogs_ids_stay_apart() -> None:
    names = {folder_name(model_id).lower() for model_id in Catalog.load().ids()}
    assert len(names) == len(Catalog.load().ids())


def test_a_reserved_name_is_changed() -> None:
    assert folder_name("con") != "con"
