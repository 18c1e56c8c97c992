from __future__ import annotations

import csv
import shutil
import subprocess
from pathlib import Path

import pytest

import edgecli
from edgecli.config import load_project
from edgecli.errors import EdgeError
from edgecli.models.catalog import Catalog
from edgecli.scaffold.names import FALLBACK_NAME
from edgecli.scaffold.service import create
from edgecli.scaffold.templates import find_template, list_templates, templates_directory

NAMES = ["batch", "chat", "rag", "rag-js", "stream", "vectorize"]


@pytest.fixture
def project(tmp_path: Path) -> Path:
    return create("rag", tmp_path / FALLBACK_NAME, FALLBACK_NAME).path


def test_the_checkout_has_its_templates_beside_the_package() -> None:
    package = Path(edgecli.__file__).parent
    assert templates_directory() == package.parent / "templates"
    assert [template.name for template in list_templates()] == NAMES


def test_an_installed_package_has_its_templates_inside(tmp_path: Path) -> None:
    # As the wheel lays it out; the folder beside it belongs to someone else.
    inside = tmp_path / "site-packages" / "edgecli" / "_templates"
    shutil.copytree(templates_directory(), inside)
    (tmp_path / "site-packages" / "templates" / "other").mkdir(parents=True)
    assert templates_directory(inside.parent) == inside
    assert list(find_template("rag-js", inside).sources) == list(find_template("rag-js").sources)


def test_lost_templates_are_an_error(tmp_path: Path) -> None:
    (tmp_path / "templates").mkdir()
    with pytest.raises(EdgeError) as caught:
        templates_directory(tmp_path / "edgecli")
    assert caught.value.code == "templates_missing"


def test_what_a_run_leaves_in_a_template_is_not_copied(tmp_path: Path) -> None:
    copy = tmp_path / "rag"
    shutil.copytree(templates_directory(), tmp_path, dirs_exist_ok=True)
    before = list(find_template("rag", tmp_path).sources)
    for leftover in (
        ".edgecli/edge.db",
        "src/__pycache__/worker.pyc",
        ".dev.vars",
        "node_modules/x/index.js",
    ):
        (copy / leftover).parent.mkdir(parents=True, exist_ok=True)
        (copy / leftover).write_text("left")
    assert list(find_template("rag", tmp_path).sources) == before


def test_each_template_describes_itself() -> None:
    for template in list_templates():
        files = set(template.sources)
        assert template.title
        assert template.description
        assert template.next_steps
        assert template.placeholders <= files
        assert {"README.md", ".gitignore", "wrangler.toml", "tests/conftest.py", "tests/test_worker.py"} <= files
        assert "template.toml" not in files


def test_the_documents_are_of_all_kinds(project: Path) -> None:
    documents = [path for path in (project / "docs").rglob("*") if path.is_file()]
    assert {path.suffix for path in documents} == {".md", ".html", ".csv", ".txt"}
    for path in documents:
        assert len(path.read_text(encoding="utf-8")) > 900, path.name
    with (project / "docs" / "price-list.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert len({row["sku"] for row in rows}) == len(rows) == 14
    assert all(None not in row and None not in row.values() for row in rows)


def test_the_languages_agree_on_the_facts(project: Path) -> None:
    def read(name: str) -> str:
        return (project / "docs" / name).read_text(encoding="utf-8")

    assert "within **30 days of delivery**" in read("refunds.md")
    assert "**签收之日起 30 天内**" in read("zh/退款政策.md")
    for figure in ("6.95", "5.95", "17.95", "19.95", "14.95", "9.95"):
        english = read("refunds.md") + read("shipping.md")
        chinese = read("zh/退款政策.md") + read("zh/配送说明.md")
        assert (figure in english) == (figure in chinese), figure


@pytest.mark.parametrize("name", NAMES)
def test_the_worker_needs_nothing_of_edgecli_and_the_network(name: str) -> None:
    sources = find_template(name).sources
    for file, path in sources.items():
        if file.startswith("src/"):
            text = path.read_text(encoding="utf-8")
            assert "edgecli" not in text.replace("edgecli dev", ""), file
            assert "://" not in text, file
            if path.suffix == ".py":
                compile(text, file, "exec")


@pytest.mark.parametrize("name", NAMES)
def test_edgecli_finds_nothing_wrong_with_the_configuration(tmp_path: Path, name: str) -> None:
    root = create(name, tmp_path / "app", "app").path
    loaded = load_project(cwd=root, environ={})
    assert loaded.diagnostics == ()
    assert loaded.name == "app"
    assert loaded.main is not None
    code = "".join(path.read_text(encoding="utf-8") for path in (root / "src").iterdir())
    bindings = [each.binding for each in (*loaded.vectorize, *loaded.kv_namespaces)]
    for binding in ("AI", *bindings, *loaded.vars):
        assert f"env.{binding}" in code


@pytest.mark.parametrize("name", NAMES)
def test_small_models_stand_in_for_those_that_the_worker_names(tmp_path: Path, name: str) -> None:
    loaded = load_project(cwd=create(name, tmp_path / "app", "app").path, environ={})
    catalog, shipped = Catalog.load(loaded.settings.models), Catalog.load()
    named = [value for value in loaded.vars.values() if str(value).startswith("@")]
    assert set(named) == set(loaded.settings.models)
    for model in named:
        here, there = catalog.resolve(model), shipped.resolve(model)
        assert here.id in {"@edge/smollm2-135m-instruct", "@edge/all-minilm-l6-v2"}
        assert (here.task, here.dimensions) == (there.task, there.dimensions)
        assert there.neurons_input  # it is on the price list, so the cloud has it


def test_readme_and_steps_of_a_template_agree() -> None:
    for template in list_templates():
        readme = template.content("README.md", "app").decode()
        for step in template.next_steps:
            if step.startswith("edgecli "):
                assert step in readme, f"{template.name}: {step}"


def test_secrets_and_state_are_ignored_by_git(project: Path) -> None:
    git = shutil.which("git")
    if git is None:
        pytest.skip("git is not installed")
    subprocess.run([git, "init", "-q", project], check=True)
    paths = [".dev.vars", ".dev.vars.staging", ".edgecli/edge.db", ".dev.vars.example", "docs/refunds.md"]
    done = subprocess.run([git, "check-ignore", *paths], cwd=project, capture_output=True, text=True, check=False)
    assert done.stdout.split() == paths[:3]
