from __future__ import annotations

import asyncio
import threading
from pathlib import Path
from typing import Any

import pytest

from edgecli.errors import ConfigError, NotFoundError
from edgecli.models.catalog import Catalog
from edgecli.models.schema import PullProgress
from edgecli.models.service import ModelsService
from edgecli.models.store import Store
from tests.models.conftest import noise
from tests.models.file_server import FileServer

CONTENT = noise(300_000)
LLAMA = "@cf/meta/llama-3.1-8b-instruct"


def own(source: str) -> dict[str, Any]:
    return {"task": "Text Generation", "engine": "llama_cpp", "source": source}


@pytest.fixture
def service(server: FileServer, store: Store) -> ModelsService:
    """Two own models with files, and a stand-in."""
    models = {
        "@my/one": own(server.add("/one.gguf", CONTENT)),
        "@my/two": own(server.add("/two.gguf", CONTENT)),
        LLAMA: {"use": "@my/one"},
    }
    return ModelsService(Catalog.load(models, origin="wrangler.toml"), store, offline=False)


async def pulled(service: ModelsService, *ids: str) -> list[PullProgress]:
    return [step async for step in service.pull(ids)]


def test_a_pull_yields_its_steps_and_a_stand_in_is_pulled_once(service: ModelsService) -> None:
    steps = asyncio.run(pulled(service, LLAMA, "@my/one", "@my/two"))
    assert [step.model for step in steps if step.phase == "done"] == ["@my/one", "@my/two"]
    assert asyncio.run(service.path(LLAMA)) == service.store.folder(service.catalog.resolve("@my/one"))


def test_an_unknown_model_among_others_stops_before_anything_is_fetched(
    service: ModelsService, server: FileServer
) -> None:
    with pytest.raises(NotFoundError, match="No such model @my/three"):
        asyncio.run(pulled(service, "@my/one", "@my/three"))
    assert server.requests == []


def test_an_error_of_the_pull_reaches_the_caller(service: ModelsService) -> None:
    with pytest.raises(NotFoundError) as caught:
        asyncio.run(pulled(service, "@cf/leonardo/phoenix-1.0"))
    assert caught.value.code == "no_open_weights"


def test_closing_the_iterator_ends_the_pull_and_frees_its_locks(service: ModelsService, server: FileServer) -> None:
    hold = threading.Event()
    server.files["/one.gguf"].hold = hold

    async def leave() -> None:
        steps = service.pull(["@my/one"])
        async for step in steps:
            if step.phase == "download":
                break
        await steps.aclose()
        hold.set()

    asyncio.run(leave())
    for thread in threading.enumerate():
        if thread.name == "models-pull":
            thread.join(30)
    assert service.store.installed() == []
    steps = asyncio.run(pulled(service, "@my/one"))
    assert steps[-1].phase == "done"


def test_the_list_says_what_is_here_and_what_stands_in(service: ModelsService) -> None:
    asyncio.run(pulled(service, "@my/one"))
    models = {each.id: each for each in asyncio.run(service.list())}
    assert (models["@my/one"].installed, models["@my/one"].size) == (True, len(CONTENT))
    assert (models[LLAMA].stand_in, models[LLAMA].installed) == ("@my/one", True)
    assert not models["@my/two"].installed
    assert not models["@cf/leonardo/phoenix-1.0"].open_weights
    assert [each.id for each in asyncio.run(service.list(installed_only=True))] == ["@my/one", LLAMA]


def test_a_model_that_another_project_defined_is_listed_verified_and_removed(service: ModelsService) -> None:
    asyncio.run(pulled(service, "@my/one"))
    other = ModelsService(Catalog.load(), service.store, offline=False)
    (listed,) = asyncio.run(other.list(installed_only=True))
    assert (listed.id, listed.task, listed.origin) == ("@my/one", "Text Generation", "another project")
    assert asyncio.run(other.list("text-embeddings", installed_only=True)) == []
    assert [each.to_dict()["ok"] for each in asyncio.run(other.verify())] == [True]
    assert asyncio.run(other.remove("@my/one")).freed >= len(CONTENT)
    assert service.store.installed() == []


def test_verify_names_the_damaged_file(service: ModelsService) -> None:
    asyncio.run(pulled(service, "@my/one", "@my/two"))
    path = asyncio.run(service.path("@my/two")) / "two.gguf"
    path.unlink()
    outcomes = {each.id: each for each in asyncio.run(service.verify())}
    assert outcomes["@my/one"].problems == []
    assert [each.problem for each in outcomes["@my/two"].problems] == ["missing"]
    damaged = asyncio.run(service.show("@my/two"))
    assert not damaged.installed
    assert "`two.gguf`" in (damaged.problem or "")


def test_removing_a_name_never_removes_its_stand_in(service: ModelsService) -> None:
    asyncio.run(pulled(service, LLAMA))
    with pytest.raises(NotFoundError) as caught:
        asyncio.run(service.remove(LLAMA))
    assert "edgecli models remove @my/one" in (caught.value.hint or "")
    assert [each.id for each in service.store.installed()] == ["@my/one"]


def test_a_project_needs_the_models_of_its_settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from edgecli.config import load_project

    monkeypatch.setenv("EDGECLI_HOME", str(tmp_path / "home"))
    (tmp_path / "wrangler.toml").write_text(
        f'name = "x"\n[edgecli]\ngeneration_model = "{LLAMA}"\nembedding_model = "@my/e"\n'
        f'[edgecli.models."{LLAMA}"]\nuse = "@edge/smollm2-135m-instruct"\n'
        '[edgecli.models."@my/e"]\ntask = "Text Embeddings"\nengine = "embedding"\nsource = "file:weights/"\n'
    )
    project = load_project(cwd=tmp_path, config=None, env=None)
    service = ModelsService.for_project(project)
    embedding, generation = service.required(project)
    assert embedding.files[0].source == f"file:{tmp_path}/weights/"
    assert generation.display_name == f"{LLAMA} (stand-in: @edge/smollm2-135m-instruct)"
    assert service.store.home == tmp_path / "home" / "models"


def test_a_wrong_definition_in_the_project_is_a_configuration_error(store: Store) -> None:
    service = ModelsService(Catalog.load({"@my/x": {"task": "Text"}}), store, offline=False)
    with pytest.raises(ConfigError, match=r"edgecli\.models\.\"@my/x\""):
        asyncio.run(service.show("@my/x"))
