from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import edgecli.models
from edgecli.errors import ConfigError, NotFoundError
from edgecli.models.catalog import Catalog
from edgecli.models.schema import Task
from edgecli.models.sources.address import HubAddress, WheelAddress, parse

SHIPPED = Path(edgecli.models.__file__).with_name("catalog.toml")
EIGHT_B = "@cf/meta/llama-3.1-8b-instruct"
SMOL = "@edge/smollm2-135m-instruct"


def test_reading_one_table_gives_what_reading_the_whole_file_gives() -> None:
    whole = tomllib.loads(SHIPPED.read_text("utf-8"))
    catalog = Catalog.load()
    assert catalog.ids() == list(whole)
    for model_id, table in whole.items():
        spec = catalog.resolve(model_id)
        assert spec.id == model_id
        assert spec.context == table.get("context")
        assert spec.neurons_input == table.get("neurons", {}).get("input")
        if "task" in table:
            assert (spec.task, spec.engine) == (table["task"], table["engine"])


def test_every_source_of_the_catalog_can_be_read_and_every_hash_is_one() -> None:
    for spec in Catalog.load().list():
        for file in spec.files:
            assert isinstance(parse(file.source), HubAddress | WheelAddress)
            assert all(re.fullmatch("[0-9a-f]{64}", value) for value in file.sha256.values())


def test_every_embedding_model_says_how_long_a_vector_is() -> None:
    for spec in Catalog.load().list("text-embeddings"):
        assert spec.dimensions, spec.id
        if spec.engine == "embedding":
            assert spec.pooling in {"mean", "cls", "lasttoken"}, spec.id


def test_models_that_share_files_keep_their_own_context_and_price() -> None:
    catalog = Catalog.load()
    plain, awq = catalog.resolve(EIGHT_B), catalog.resolve(f"{EIGHT_B}-awq")
    assert awq.files == plain.files
    assert (awq.context, awq.neurons_input) == (8192, 11161)
    assert (plain.context, plain.neurons_input) == (7968, 25608)
    assert catalog.resolve(f"{EIGHT_B}-fast").neurons_input is None


def test_prices_in_other_units_are_kept() -> None:
    assert Catalog.load().resolve("@cf/openai/whisper").neurons_other == {"audio_minute": 41.14}


def test_an_unknown_model_is_answered_as_cloudflare_does_with_the_nearest_names() -> None:
    with pytest.raises(NotFoundError) as caught:
        Catalog.load().resolve("@cf/meta/llama-3.1-8b-instrct")
    error = caught.value
    assert error.message == "No such model @cf/meta/llama-3.1-8b-instrct or task"
    assert (error.code, error.cf_code, error.status) == ("model_not_found", 5007, 400)
    assert error.hint is not None
    assert f"`{EIGHT_B}`" in error.hint


def test_a_stand_in_is_followed_and_named() -> None:
    spec = Catalog.load({EIGHT_B: {"use": "@my/b"}, "@my/b": {"use": SMOL}}).resolve(EIGHT_B)
    assert (spec.id, spec.requested_id) == (SMOL, EIGHT_B)
    assert spec.display_name == f"{EIGHT_B} (stand-in: {SMOL})"


def test_a_name_that_the_catalog_does_not_know_may_have_a_stand_in() -> None:
    assert Catalog.load({"@cf/new/model": {"use": SMOL}}).resolve("@cf/new/model").id == SMOL


def test_stand_ins_in_a_circle_are_refused() -> None:
    with pytest.raises(ConfigError, match="`@my/a` → `@my/b` → `@my/a`"):
        Catalog.load({"@my/a": {"use": "@my/b"}, "@my/b": {"use": "@my/a"}}).resolve("@my/a")


def test_a_stand_in_of_another_task_is_refused() -> None:
    with pytest.raises(ConfigError, match="tasks differ") as caught:
        Catalog.load({EIGHT_B: {"use": "@edge/all-minilm-l6-v2"}}).resolve(EIGHT_B)
    assert caught.value.code == "model_task"


def test_an_unknown_stand_in_names_both_models() -> None:
    with pytest.raises(NotFoundError, match=f"No such model @no/such or task.*{EIGHT_B}"):
        Catalog.load({EIGHT_B: {"use": "@no/such"}}).resolve(EIGHT_B)


def test_own_ignores_the_stand_in() -> None:
    assert Catalog.load({EIGHT_B: {"use": SMOL}}).own(EIGHT_B).id == EIGHT_B


def test_an_override_changes_fields_of_a_shipped_model() -> None:
    spec = Catalog.load({EIGHT_B: {"context": 1234}}, origin="wrangler.toml").resolve(EIGHT_B)
    assert (spec.context, spec.origin) == (1234, "wrangler.toml")
    assert spec.files == Catalog.load().resolve(EIGHT_B).files


def test_list_filters_by_task_however_it_is_written() -> None:
    catalog = Catalog.load()
    names = [spec.id for spec in catalog.list("Text Embeddings")]
    assert names == [spec.id for spec in catalog.list("text_embeddings")]
    assert "@cf/baai/bge-m3" in names
    assert SMOL not in names


def test_an_unknown_task_is_named() -> None:
    with pytest.raises(NotFoundError, match="No such task `text-embedings`") as caught:
        Catalog.load().list("text-embedings")
    assert caught.value.hint == "Did you mean `text-embeddings`?"


@pytest.mark.parametrize(
    ("words", "found"),
    [
        ("bge m3", "@cf/baai/bge-m3"),
        ("starter speech", "@edge/whisper-tiny.en"),
        ("JAPANESE", "@cf/pfnet/plamo-embedding-1b"),
    ],
)
def test_search_finds_models_that_hold_every_word(words: str, found: str) -> None:
    assert found in [spec.id for spec in Catalog.load().search(words)]


def test_every_task_of_cloudflare_has_a_model() -> None:
    assert {spec.task for spec in Catalog.load().list()} == set(Task)


def test_finding_an_installed_model_imports_little() -> None:
    code = (
        "import sys\n"
        "from pathlib import Path\n"
        "from edgecli.errors import NotFoundError\n"
        "from edgecli.models.catalog import Catalog\n"
        "from edgecli.models.store import Store\n"
        "try: Store(Path('/nowhere')).get(Catalog.load().resolve('@edge/all-minilm-l6-v2'))\n"
        "except NotFoundError: pass\n"
        "print(sorted({'httpx2', 'huggingface_hub', 'filelock', 'platformdirs', 'pydantic', 'rich',"
        " 'zipfile', 'subprocess', 'asyncio'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout == "[]\n"


def test_a_stand_in_speaks_as_the_model_it_stands_for() -> None:
    glm = "@cf/zai-org/glm-4.7-flash"
    spec = Catalog.load({glm: {"use": SMOL}, EIGHT_B: {"use": glm}}).resolve(glm)
    assert "chat_completions" in spec.capabilities
    assert "tools" not in spec.capabilities
    assert spec.defaults == {"max_tokens": 2000}
    older = Catalog.load({EIGHT_B: {"use": glm}}).resolve(EIGHT_B)
    assert "chat_completions" not in older.capabilities
    assert {"tools", "reasoning"} <= set(older.capabilities)
    assert older.defaults == {}
