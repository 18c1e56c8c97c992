from __future__ import annotations

import gzip
import os
import threading
import zipfile
from pathlib import Path

import pytest

from edgecli.documents.read import read_document, supported
from edgecli.documents.schema import DocumentError
from edgecli.errors import EdgeError
from tests.documents.pdf_files import pdf_of
from tests.documents.words import document_of


def refusal(folder: Path, name: str, content: bytes, max_bytes: int = 1_000_000) -> DocumentError:
    path = folder / name
    path.write_bytes(content)
    with pytest.raises(DocumentError) as caught:
        read_document(path, max_bytes=max_bytes)
    error = caught.value
    assert isinstance(error, EdgeError)
    assert (error.status, error.exit_code) == (422, 1)
    assert name in error.message
    assert error.hint
    return error


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.md", b""),
        ("a.txt", b" \n\t\r\n "),
        ("a.txt", b"\xef\xbb\xbf"),
        ("a.txt", "\ufeff \u3000".encode("utf-16-le")),
        ("a.md", b"---\ntitle: only front matter\n---\n"),
        ("a.html", b"<html><body><script>x()</script></body></html>"),
        ("a.pdf", b""),
        ("a.json", b" "),
    ],
)
def test_a_file_without_text_can_be_read(tmp_path: Path, name: str, content: bytes) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    document = read_document(path, max_bytes=1000)
    assert (document.text, document.blocks) == ("", ())


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("a.txt", b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR", "PNG"),
        ("a.md", b"\xff\xd8\xff\xe0 no zero byte", "JPEG"),
        ("notes", gzip.compress(b"text", mtime=0), "gzip"),
        ("program", b"\x7fELF\x02\x01\x01\0", "executable"),
        ("a.txt", b"RIFF\x24\0\0\0WAVEfmt ", "sound"),
        ("data.txt", b"some text\0\x01\x02\0 and more", "binary"),
    ],
)
def test_files_that_are_no_text(tmp_path: Path, name: str, content: bytes, says: str) -> None:
    error = refusal(tmp_path, name, content)
    assert error.code == "binary"
    assert says in error.message


def test_an_office_document_is_named_as_what_it_is(tmp_path: Path) -> None:
    path = tmp_path / "letter.docx"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("word/document.xml", "<w/>")
    with pytest.raises(DocumentError, match="Office document") as caught:
        read_document(path, max_bytes=1000)
    assert caught.value.code == "binary"


def test_the_size_is_checked_with_both_numbers(tmp_path: Path) -> None:
    error = refusal(tmp_path, "big.txt", b"x" * 2000, max_bytes=1999)
    assert error.code == "too_large"
    assert "2,000" in error.message
    assert "1,999" in error.message
    assert read_document(tmp_path / "big.txt", max_bytes=2000).text == "x" * 2000


def test_a_sparse_file_of_200_mb_is_refused_unread(tmp_path: Path) -> None:
    path = tmp_path / "huge.log"
    with path.open("wb") as file:
        file.truncate(200_000_000)
    with pytest.raises(DocumentError) as caught:
        read_document(path, max_bytes=50_000_000)
    assert caught.value.code == "too_large"


def test_a_file_that_is_gone(tmp_path: Path) -> None:
    with pytest.raises(DocumentError, match="vanished") as caught:
        read_document(tmp_path / "gone.md", max_bytes=1000)
    assert caught.value.code == "unreadable"


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_file_without_permission(tmp_path: Path) -> None:
    path = tmp_path / "secret.md"
    path.write_text("text")
    path.chmod(0)
    with pytest.raises(DocumentError, match="may not be read") as caught:
        read_document(path, max_bytes=1000)
    assert caught.value.code == "unreadable"


def test_a_path_through_a_file(tmp_path: Path) -> None:
    (tmp_path / "file.md").write_text("text")
    with pytest.raises(DocumentError, match="cannot be read") as caught:
        read_document(tmp_path / "file.md" / "other.md", max_bytes=1000)
    assert caught.value.code == "unreadable"


def test_folders_and_pipes_are_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.md")
    for path in (tmp_path, tmp_path / "pipe.md"):
        with pytest.raises(DocumentError) as caught:
            read_document(path, max_bytes=1000)
        assert caught.value.code == "unsupported"


def test_pdfs_that_cannot_be_read(tmp_path: Path) -> None:
    assert refusal(tmp_path, "locked.pdf", pdf_of([["text"]], encrypted=True)).code == "encrypted"
    assert refusal(tmp_path, "cut.pdf", b"%PDF-1.7\n1 0 obj\n<<").code == "malformed"
    assert refusal(tmp_path, "words.pdf", b"just words").code == "malformed"
    scan = refusal(tmp_path, "scan.pdf", pdf_of([[], []]))
    assert scan.code == "empty"
    assert "2 pages and no text" in scan.message
    assert "OCR" in str(scan.hint)


def test_a_pdf_is_known_by_its_bytes(tmp_path: Path) -> None:
    document = document_of(tmp_path, "paper", pdf_of([["Some text."]]))
    assert (document.format, document.encoding) == ("pdf", None)


def test_pdfs_are_read_by_several_threads(tmp_path: Path) -> None:
    path = tmp_path / "a.pdf"
    path.write_bytes(pdf_of([[f"Line {line} of page {page}." for line in range(30)] for page in range(10)]))
    texts: list[str] = []
    threads = [
        threading.Thread(target=lambda: texts.append(read_document(path, max_bytes=10**6).text)) for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(texts) == 8
    assert len(set(texts)) == 1


def test_the_title_falls_back_to_the_name(tmp_path: Path) -> None:
    assert document_of(tmp_path, "prices.csv", "name,price\ntea,3\n").title == "prices"
    assert document_of(tmp_path, "shop.py", "x = 1\n").title == "shop.py"


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("a.md", "markdown"),
        ("README", "text"),
        ("a.HTM", "html"),
        ("a.ts", "code"),
        ("Makefile", "code"),
        ("Dockerfile.dev", "code"),
        ("a.yaml", "code"),
        ("a.log", "text"),
        ("a.ndjson", "json"),
        ("a.rst", "rst"),
        ("a.tsv", "csv"),
        ("a.unknown", "text"),
    ],
)
def test_the_name_decides_the_format(tmp_path: Path, name: str, expected: str) -> None:
    assert document_of(tmp_path, name, "some words\n").format == expected


def test_supported_goes_by_the_name() -> None:
    names = ("a.md", "b.pdf", "c.rs", "Makefile", "README", "d.hpp", "e.vue", "f.tf", "g.jsonl")
    assert all(supported(Path(name)) for name in names)
    assert not any(supported(Path(name)) for name in ("a.png", "b.docx", "c.zip", ".env", ".hidden.md", "d.onnx"))
