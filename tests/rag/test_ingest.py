"""Ingest: the index holds exactly what the folder holds, run after run."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from edgecli.documents.encoding import decode
from edgecli.errors import ConfigError, NotFoundError, UsageError
from edgecli.rag.schema import IngestReport
from tests.conftest import Run
from tests.documents.pdf_files import pdf_of
from tests.rag.conftest import INDEX, Engines, Room

pytestmark = pytest.mark.models

REFUNDS = "# Refunds\n\nYou can ask for a refund within 30 days of the purchase.\n"
SHIPPING = "# Shipping\n\nParcels leave the warehouse in Rotterdam every morning.\n"
CHINESE = "# 退款\n\n购买后三十天内可以申请退款。\n"


def counts(report: IngestReport) -> tuple[int, int, int, int]:
    """Return added, updated, unchanged, deleted; nothing may have failed."""
    assert report.failed == []
    return report.added, report.updated, report.unchanged, report.deleted


def found_anywhere(room: Room, words: str) -> bool:
    """Tell whether a text is found by keyword, by vector, or lies in any vector's metadata."""
    texts = [hit.text for mode in ("keyword", "vector") for hit in room.query(words, mode=mode, top_k=50).hits]
    return any(words in text for text in [*texts, *(str(entry["text"]) for entry in room.metadata())])


def test_a_second_run_has_nothing_to_do(room: Room) -> None:
    room.write(a_md=REFUNDS, b_txt=SHIPPING, 退款_md=CHINESE)
    assert counts(room.ingest()) == (3, 0, 0, 0)
    before = room.live_ids()
    again = room.ingest()
    assert (counts(again), again.chunks) == ((0, 0, 3, 0), 0)
    assert room.live_ids() == before
    room.assert_in_step()


def test_a_changed_file_leaves_nothing_of_its_old_text(room: Room) -> None:
    room.write(a_md=REFUNDS, b_md=SHIPPING)
    room.ingest()
    (old,) = (document.chunk_ids() for document in room.documents() if document.version.path == "docs/a.md")
    assert found_anywhere(room, "30 days")
    room.write(a_md=REFUNDS.replace("30 days", "fourteen nights"))
    assert counts(room.ingest()) == (0, 1, 1, 0)
    assert not found_anywhere(room, "30 days")
    assert found_anywhere(room, "fourteen nights")
    assert room.run(room.runtime.vectorize.get_by_ids(INDEX, old)) == []
    room.assert_in_step()


def test_a_deleted_file_leaves_nothing(room: Room) -> None:
    room.write(a_md=REFUNDS, b_md=SHIPPING)
    room.ingest()
    (room.root / "docs" / "a.md").unlink()
    assert counts(room.ingest()) == (0, 0, 1, 1)
    assert not found_anywhere(room, "30 days")
    room.assert_in_step()


def test_a_moved_file_is_found_at_its_new_place_alone(room: Room) -> None:
    room.write(a_md=REFUNDS, b_md=SHIPPING)
    room.ingest()
    (room.root / "docs" / "new").mkdir()
    (room.root / "docs" / "a.md").rename(room.root / "docs" / "new" / "a.md")
    assert counts(room.ingest()) == (1, 0, 1, 1)
    assert {entry["file"] for entry in room.metadata()} == {"docs/new/a.md", "docs/b.md"}
    assert {hit.file for hit in room.query("refund", mode="keyword").hits} == {"docs/new/a.md"}
    room.assert_in_step()


def test_new_times_alone_are_no_change(room: Room) -> None:
    room.write(a_md=REFUNDS)
    room.ingest()
    os.utime(room.root / "docs" / "a.md", (1_000_000_000, 1_000_000_000))
    assert counts(room.ingest()) == (0, 0, 1, 0)
    assert room.documents()[0].version.modified_ns == 1_000_000_000 * 10**9, "the new time must be remembered"


def test_the_same_size_and_time_with_another_content_is_a_change(room: Room) -> None:
    path = room.file("a.md", REFUNDS)
    room.ingest()
    before = path.stat()
    path.write_text(REFUNDS.replace("30", "31"), encoding="utf-8")
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert counts(room.ingest()) == (0, 1, 0, 0), "a file this young must be read, whatever its time"


def test_two_files_of_the_same_content_are_two_documents(room: Room) -> None:
    room.write(a_md=REFUNDS, b_md=REFUNDS)
    assert counts(room.ingest()) == (2, 0, 0, 0)
    assert {hit.file for hit in room.query("refund within 30 days").hits} == {"docs/a.md", "docs/b.md"}
    (room.root / "docs" / "a.md").unlink()
    assert counts(room.ingest()) == (0, 0, 1, 1)
    assert {hit.file for hit in room.query("refund within 30 days").hits} == {"docs/b.md"}
    room.assert_in_step()


def test_two_folders_of_one_index_do_not_judge_each_other(room: Room) -> None:
    room.file("one/a.md", REFUNDS)
    room.file("two/b.md", SHIPPING)
    assert counts(room.ingest("docs/one")) == (1, 0, 0, 0)
    assert counts(room.ingest("docs/two")) == (1, 0, 0, 0)
    shutil.rmtree(room.root / "docs" / "one")
    (room.root / "docs" / "one").mkdir()
    assert counts(room.ingest("docs/two")) == (0, 0, 1, 0)
    assert counts(room.ingest("docs")) == (0, 0, 1, 1)


def test_one_file_can_be_ingested_alone(room: Room) -> None:
    room.write(a_md=REFUNDS, b_md=SHIPPING)
    assert counts(room.ingest("docs/a.md")) == (1, 0, 0, 0)
    assert counts(room.ingest("docs/b.md")) == (1, 0, 0, 0)


def test_glob_narrows_what_a_run_judges(room: Room) -> None:
    room.write(a_md=REFUNDS, b_txt=SHIPPING)
    room.ingest()
    (room.root / "docs" / "b.txt").unlink()
    assert counts(room.ingest(glob=["*.md"])) == (0, 0, 1, 0), "b.txt was not this run's to judge"
    assert counts(room.ingest(glob=["*.txt"])) == (0, 0, 0, 1)


def test_what_is_excluded_later_is_taken_out(room: Room) -> None:
    room.write(a_md=REFUNDS, b_md=SHIPPING)
    room.file("drafts/c.md", CHINESE)
    assert counts(room.ingest()) == (3, 0, 0, 0)
    assert counts(room.ingest(exclude=["b.md"])) == (0, 0, 2, 1)
    room.file(".gitignore", "drafts/\n")
    assert counts(room.ingest()) == (1, 0, 1, 1)
    assert {entry["file"] for entry in room.metadata()} == {"docs/a.md", "docs/b.md"}
    room.assert_in_step()


def test_a_dry_run_changes_nothing(room: Room) -> None:
    room.write(a_md=REFUNDS, b_md=SHIPPING)
    room.ingest()
    before = (room.live_ids(), room.metadata())
    room.write(a_md=SHIPPING, c_md=CHINESE)
    (room.root / "docs" / "b.md").unlink()
    report = room.ingest(dry_run=True)
    assert (counts(report), report.dry_run) == ((1, 1, 0, 1), True)
    assert report.files == {"added": ["docs/c.md"], "updated": ["docs/a.md"], "deleted": ["docs/b.md"]}
    assert (room.live_ids(), room.metadata()) == before
    assert counts(room.ingest()) == (1, 1, 0, 1)


BROKEN: dict[str, tuple[bytes, str]] = {
    "scan.pdf": (pdf_of([[]]), "empty"),
    "image.md": (b"\x89PNG\r\n\x1a\n" + bytes(range(256)) * 4, "binary"),
    "torn.pdf": (b"%PDF-1.7\n1 0 obj\n<< /Type /Catalog", "malformed"),
}


def test_what_cannot_be_read_is_listed_and_the_rest_is_in(room: Room) -> None:
    room.write(a_md=REFUNDS)
    room.file("gb.txt", "购买后三十天内可以申请退款。请提供订单号。".encode("gb18030"))
    for name, (content, _) in BROKEN.items():
        room.file(name, content)
    report = room.ingest()
    assert {(failed.file, failed.code) for failed in report.failed} == {
        (f"docs/{name}", code) for name, (_, code) in BROKEN.items()
    }
    assert all(Path(failed.file).name in failed.error for failed in report.failed)
    assert report.added == 2
    assert room.query("申请退款", mode="keyword").hits[0].file == "docs/gb.txt"
    room.assert_in_step()


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read every file")
def test_an_unreadable_file_is_listed(room: Room) -> None:
    room.file("a.md", REFUNDS).chmod(0)
    assert [failed.code for failed in room.ingest().failed] == ["unreadable"]


@pytest.mark.parametrize("broken", [b"%PDF-1.7 torn", b"\x00\x01\x02\x03" * 64])
def test_a_file_that_fails_later_keeps_the_version_it_had(room: Room, broken: bytes) -> None:
    room.write(a_md=REFUNDS)
    room.ingest()
    room.file("a.md", broken)
    report = room.ingest()
    assert [failed.file for failed in report.failed] == ["docs/a.md"]
    assert (report.updated, report.deleted) == (0, 0)
    assert "30 days" in room.query("refund").hits[0].text
    room.write(a_md=REFUNDS)
    assert counts(room.ingest()) == (0, 0, 1, 0)
    room.assert_in_step()


def test_a_failed_file_is_tried_again(room: Room) -> None:
    room.file("a.md", b"%PDF-1.7 torn")
    assert len(room.ingest().failed) == 1
    assert len(room.ingest().failed) == 1
    room.write(a_md=REFUNDS)
    assert counts(room.ingest()) == (1, 0, 0, 0)


def test_what_a_vector_carries(room: Room) -> None:
    source = "---\ntitle: 政策\nyear: 2024\n---\n# Refunds\n\n" + "".join(
        f"## Part {number}\n\nRefund rule {number} says 三十天 and more. " + "It has reasons. " * 60 + "\n\n"
        for number in range(3)
    )
    path = room.file("图纸/退款.md", source)
    room.ingest()
    decoded = decode(path.read_bytes())
    assert decoded is not None
    entries = room.run(room.runtime.vectorize.get_metadata(INDEX, sorted(room.live_ids())))
    assert len(entries) > 3
    for chunk_id, entry in entries.items():
        assert chunk_id.startswith(f"{entry['docId']}:")
        assert len(chunk_id.encode()) <= 64
        assert entry["file"] == "docs/图纸/退款.md"
        assert entry["title"] == "政策"
        assert entry["year"] == 2024
        assert decoded[0][entry["start"] : entry["end"]] == entry["text"]
        assert isinstance(entry["heading"], str)
    assert {entry["heading"] for entry in entries.values()} >= {f"Refunds > Part {number}" for number in range(3)}


def test_front_matter_that_has_the_name_of_an_own_key_or_no_usable_one(room: Room) -> None:
    room.write(a_md="---\ntext: no\nfile: no\ndocId: no\n$x: 1\na.b: 2\nok: 3\n---\n# T\n\nA short rule.\n")
    assert counts(room.ingest()) == (1, 0, 0, 0)
    (entry,) = room.metadata()
    assert entry["file"] == "docs/a.md"
    assert entry["text"].endswith("A short rule.")
    assert entry["ok"] == 3
    assert not {"$x", "a.b"} & set(entry)


def test_pdf_pages_are_told(room: Room) -> None:
    room.file("a.pdf", pdf_of([["Refunds take thirty days."] * 40, ["Parcels leave from Rotterdam."] * 40]))
    room.ingest()
    hit = room.query("Rotterdam", mode="keyword").hits[0]
    assert hit.metadata["page"] == 2


def test_an_index_of_other_dimensions_is_refused(tmp_path: Path, engines: Engines) -> None:
    room = Room(tmp_path, engines)
    room.create_index(768)
    room.write(a_md=REFUNDS)
    with pytest.raises(UsageError, match=r"768 dimensions.*384") as caught:
        room.ingest()
    assert caught.value.code == "wrong_dimensions"
    assert "--dimensions=384" in (caught.value.hint or "")
    room.close()


def test_another_embedding_model_is_refused(room: Room) -> None:
    room.write(a_md=REFUNDS)
    room.ingest()
    room.close()
    settings = '[edgecli]\nembedding_model = "@cf/baai/bge-m3"\n'
    (room.root / "wrangler.toml").write_text(f'name = "test"\n{settings}', encoding="utf-8")
    room.open()
    with pytest.raises(ConfigError, match="cannot be compared") as caught:
        room.ingest()
    assert caught.value.code == "other_embedding_model"


def test_an_unknown_index_or_folder_is_not_found(room: Room, tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match="nowhere"):
        room.ingest("nowhere")
    with pytest.raises(UsageError, match="empty"):
        room.ingest(" ")
    room.run(room.runtime.vectorize.delete(INDEX))
    with pytest.raises(NotFoundError, match=INDEX):
        room.ingest()


def test_an_index_that_was_created_again_is_filled_again(room: Room) -> None:
    room.write(a_md=REFUNDS, b_md=SHIPPING)
    room.ingest()
    room.run(room.runtime.vectorize.delete(INDEX))
    room.create_index()
    assert room.query("refund").hits == []
    assert counts(room.ingest()) == (2, 0, 0, 0)
    assert room.query("refund", mode="keyword").hits[0].file == "docs/a.md"
    room.assert_in_step()


def test_other_chunk_settings_make_every_file_new(room: Room) -> None:
    room.write(a_md=REFUNDS)
    room.ingest()
    room.close()
    (room.root / "wrangler.toml").write_text('name = "test"\n[edgecli.ingest]\nchunk_tokens = 64\n', encoding="utf-8")
    room.open()
    assert counts(room.ingest()) == (0, 1, 0, 0)
    room.assert_in_step()


@pytest.mark.slow
def test_the_command(room: Room, edgecli: Run, edgecli_home: Path) -> None:
    room.write(a_md=REFUNDS)
    room.file("image.md", BROKEN["image.md"][0])
    room.close()
    here = ("--cwd", str(room.root), "--index", INDEX)
    home = {"EDGECLI_HOME": str(edgecli_home)}
    first = edgecli("ingest", "docs", *here, **home)
    assert (first.returncode, first.stdout) == (1, "")
    assert "1 added, 0 updated, 0 unchanged, 0 deleted" in first.stderr
    assert "`docs/image.md` is a PNG image, not text" in first.stderr
    assert "1 chunk in" in first.stderr
    assert "1 file could not be read; everything else is in the index." in first.stderr
    planned = edgecli("ingest", "docs", "--dry-run", *here, **home)
    assert (planned.returncode, planned.stdout) == (1, "")
    assert "1 unchanged, 0 deleted, 1 would fail" in planned.stderr
    assert "`docs/image.md` is a PNG image, not text" in planned.stderr
    alone = edgecli("ingest", "docs/image.md", *here, **home)
    assert alone.returncode == 1
    assert alone.stderr == "warning: `docs/image.md` is a PNG image, not text\n"
    unknown = edgecli("ingest", "docs", "--cwd", str(room.root), "--index", "hlep", **home)
    assert unknown.returncode == 3
    assert "hlep" in unknown.stderr and "hint:" in unknown.stderr


def test_a_file_without_text_is_no_failure(room: Room) -> None:
    room.write(a_md=REFUNDS)
    for name, content in {"__init__.py": b"", "blank.md": b" \n\n\t\n", "deep.json": b"[" * 100_000}.items():
        room.file(name, content)
    report = room.ingest()
    assert (counts(report), report.empty) == ((1, 0, 0, 0), 3)
    again = room.ingest()
    assert (counts(again), again.empty) == ((0, 0, 4, 0), 0)
    room.write(a_md="")
    report = room.ingest()
    assert (counts(report), report.empty) == ((0, 0, 3, 0), 1)
    assert not found_anywhere(room, "30 days")
    room.assert_in_step()


@pytest.mark.parametrize("emptied", [False, True])
def test_what_is_left_of_a_folder_that_is_gone_is_taken_out(room: Room, emptied: bool) -> None:
    room.file("one/a.md", REFUNDS)
    room.file("two/b.md", SHIPPING)
    room.ingest()
    (room.root / "docs" / "one").rename(room.root / "docs" / "uno")
    room.ingest("docs/uno")
    planned = room.ingest("docs/one", dry_run=True)
    assert planned.files["deleted"] == ["docs/one/a.md"]
    report = room.ingest("docs/one")
    assert counts(report) == (0, 0, 0, 1)
    assert report.notes == ["`docs/one` is no longer there: the index is to hold nothing of it."]
    assert {entry["file"] for entry in room.metadata()} == {"docs/uno/a.md", "docs/two/b.md"}
    room.assert_in_step()
    with pytest.raises(NotFoundError, match="docs/one") as caught:
        room.ingest("docs/one")
    assert f"`{room.root / 'docs'}` is there" in (caught.value.hint or "")
    if emptied:
        shutil.rmtree(room.root / "docs")
        assert counts(room.ingest("docs/two/b.md")) == (0, 0, 0, 1), "a file that is gone is one as well"


def test_a_dry_run_names_what_is_known_to_fail(room: Room) -> None:
    room.close()
    (room.root / "wrangler.toml").write_text('name = "test"\n[edgecli.ingest]\nmax_file_mb = 1\n', encoding="utf-8")
    room.open()
    room.write(a_md=REFUNDS, large_txt="word " * 250_000, torn_pdf=BROKEN["torn.pdf"][0])
    room.file("image.md", BROKEN["image.md"][0])
    room.file("zeros.txt", b"some text\0\x01\x02\0 and more")
    report = room.ingest(dry_run=True)
    assert {failed.file: failed.code for failed in report.failed} == {
        "docs/large.txt": "too_large",
        "docs/image.md": "binary",
        "docs/zeros.txt": "binary",
    }
    assert report.files["added"] == ["docs/a.md", "docs/torn.pdf"]


def test_a_pipe_is_called_one(room: Room) -> None:
    os.mkfifo(room.root / "docs" / "pipe")
    with pytest.raises(UsageError, match="is a named pipe"):
        room.ingest("docs/pipe")
    room.write(a_md=REFUNDS)
    assert counts(room.ingest()) == (1, 0, 0, 0)


def test_links_are_followed_within_the_folder_alone(room: Room) -> None:
    room.write(a_md=REFUNDS)
    (room.root / "secret.md").write_text(SHIPPING, encoding="utf-8")
    (room.root / "docs" / "in.md").symlink_to(room.root / "docs" / "a.md")
    (room.root / "docs" / "out.md").symlink_to(room.root / "secret.md")
    report = room.ingest()
    assert counts(report) == (2, 0, 0, 0)
    assert report.notes == ["Left out, as links that lead out of the folder: docs/out.md."]
    assert not found_anywhere(room, "Rotterdam")


def test_what_is_no_json_is_taken_as_text_and_said(room: Room) -> None:
    room.write(a_json='{"a": 1,\n oops}', b_jsonl='{"a": 1}\nno record\n{"b"\n', c_json='{"fine": "yes"}')
    report = room.ingest()
    assert counts(report) == (3, 0, 0, 0)
    assert report.notes == [
        "docs/a.json: no valid JSON in line 2 (Expecting property name enclosed in double quotes); read as text",
        "docs/b.jsonl: no valid JSON in line 2 and in 1 more; read as text",
    ]
