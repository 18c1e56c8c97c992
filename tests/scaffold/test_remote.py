from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from edgecli.errors import EdgeError
from edgecli.scaffold import remote
from edgecli.scaffold.remote import Repository, is_elsewhere, opened, read_folder, repository_of
from edgecli.scaffold.service import create


def git(folder: Path, *arguments: str) -> None:
    identity = {f"GIT_{who}_{what}": "ada@example.com" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}
    subprocess.run(["git", *arguments], cwd=folder, check=True, capture_output=True, env=os.environ | identity)


@pytest.fixture
def template(tmp_path: Path) -> Path:
    folder = tmp_path / "模板 of mine"
    (folder / "src").mkdir(parents=True)
    (folder / "wrangler.toml").write_text('name = "$name"\nmain = "src/worker.py"\n')
    (folder / "src" / "worker.py").write_text("PRICE = '$name'\n")
    return folder


@pytest.fixture
def repository(template: Path) -> Path:
    git(template, "init", "--quiet", "--initial-branch=main")
    git(template, "add", ".")
    git(template, "commit", "--quiet", "-m", "first")
    return template


def codes(reference: str, cwd: Path) -> str:
    with pytest.raises(EdgeError) as caught, opened(reference, cwd):
        pass
    return caught.value.code


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("gh:ada/shop", Repository("https://github.com/ada/shop.git")),
        ("gh:ada/shop.git", Repository("https://github.com/ada/shop.git")),
        ("gh:ada/shop/a/b#v1", Repository("https://github.com/ada/shop.git", "a/b", "v1")),
        ("https://example.com/x.git#main", Repository("https://example.com/x.git", "", "main")),
        ("git@example.com:ada/x.git", Repository("git@example.com:ada/x.git")),
        ("file:///srv/x", Repository("file:///srv/x")),
        ("./folder", None),
        ("/srv/folder", None),
    ],
)
def test_a_place_is_understood(given: str, expected: Repository | None) -> None:
    assert is_elsewhere(given)
    assert repository_of(given) == expected


@pytest.mark.parametrize(
    "given", ["ext::sh -c id", "-u://x", "gh:", "gh:ada", "javascript://x", "--upload-pack=x::y", "gh:a/b/../../c"]
)
def test_what_is_no_place_is_refused(tmp_path: Path, given: str) -> None:
    assert codes(given, tmp_path) == "bad_template_address"


def test_names_of_shipped_templates_are_no_places() -> None:
    assert not any(is_elsewhere(name) for name in ("rag", "rag-js", "my template"))


def test_a_repository_is_cloned_and_copied_without_its_history(tmp_path: Path, repository: Path) -> None:
    with opened(f"file://{repository}", tmp_path) as found:
        result = create(found, tmp_path / "app", "app")
    assert sorted(result.files) == ["src/worker.py", "wrangler.toml"]
    assert (result.path / "wrangler.toml").read_text().startswith('name = "app"')
    assert (result.path / "src" / "worker.py").read_text() == "PRICE = '$name'\n"


def test_a_folder_of_a_repository_is_a_template(
    tmp_path: Path, repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (repository / "link").symlink_to("/etc")
    git(repository, "add", ".")
    git(repository, "commit", "--quiet", "-m", "link")
    # As if the user had said where GitHub's repositories are.
    (tmp_path / "gitconfig").write_text(f'[url "file://{repository}"]\n\tinsteadOf = https://github.com/ada/shop.git\n')
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(tmp_path / "gitconfig"))
    with opened("gh:ada/shop/src#main", tmp_path) as found:
        assert (found.name, list(found.sources)) == ("src", ["worker.py"])
    assert codes("gh:ada/shop/none", tmp_path) == "no_such_template"
    assert codes("gh:ada/shop/link", tmp_path) == "unsafe_template"


def test_a_branch_is_chosen(tmp_path: Path, repository: Path) -> None:
    git(repository, "checkout", "--quiet", "-b", "next")
    (repository / "new.md").write_text("new")
    git(repository, "add", ".")
    git(repository, "commit", "--quiet", "-m", "second")
    git(repository, "checkout", "--quiet", "main")
    with opened(f"file://{repository}#next", tmp_path) as found:
        assert "new.md" in found.sources
    assert codes(f"file://{repository}#none", tmp_path) == "clone_failed"


def test_hooks_of_the_user_and_the_repository_do_not_run(
    tmp_path: Path, repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hooks = tmp_path / "hooks"
    hooks.mkdir()
    hook = hooks / "post-checkout"
    hook.write_text(f"#!/bin/sh\ntouch '{tmp_path}/ran'\n")
    hook.chmod(0o755)
    (tmp_path / "gitconfig").write_text(f"[core]\n\thooksPath = {hooks}\n")
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(tmp_path / "gitconfig"))
    with opened(f"file://{repository}", tmp_path) as found:
        assert found.sources
    assert not (tmp_path / "ran").exists()


def test_a_described_folder_has_placeholders_and_steps(tmp_path: Path, template: Path) -> None:
    (template / "template.toml").write_text(
        'title = "T"\nplaceholders = ["src/worker.py"]\nnext_steps = ["edgecli dev"]\n'
    )
    found = read_folder(template)
    assert (found.title, found.next_steps) == ("T", ("edgecli dev",))
    assert found.content("src/worker.py", "app") == b"PRICE = 'app'\n"
    assert "template.toml" not in found.sources


@pytest.mark.parametrize("text", ["title = ", "title = 5", 'placeholders = "x"', "next_steps = [1]"])
def test_a_wrong_description_is_named(template: Path, text: str) -> None:
    (template / "template.toml").write_text(text)
    with pytest.raises(EdgeError) as caught:
        read_folder(template)
    assert caught.value.code == "bad_template"


@pytest.mark.parametrize("target", ["/etc/passwd", "../outside.txt", "nowhere", "../outside"])
def test_a_link_that_leaves_the_folder_is_refused(tmp_path: Path, template: Path, target: str) -> None:
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside.txt").write_text("secret")
    (template / "src" / "link").symlink_to(tmp_path / target.removeprefix("../") if ".." in target else target)
    assert codes(str(template), tmp_path) == "unsafe_template"


def test_a_link_inside_is_copied_as_a_file(tmp_path: Path, template: Path) -> None:
    (template / "link.py").symlink_to("src/worker.py")
    project = create(read_folder(template), tmp_path / "app", "app").path
    assert (project / "link.py").read_text() == "PRICE = '$name'\n"
    assert not (project / "link.py").is_symlink()


def test_a_pipe_is_refused(tmp_path: Path, template: Path) -> None:
    os.mkfifo(template / "pipe")
    assert codes(str(template), tmp_path) == "unsafe_template"


def test_large_templates_are_refused(tmp_path: Path, template: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(remote, "MOST_BYTES", 10)
    assert codes(str(template), tmp_path) == "template_too_large"


def test_a_folder_that_is_not_there_is_said(tmp_path: Path) -> None:
    assert codes("./none", tmp_path) == "no_such_template"
    assert codes(f"file://{tmp_path}/none", tmp_path) == "clone_failed"
