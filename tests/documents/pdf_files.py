"""Write small PDF files, as a program would."""

from __future__ import annotations

from collections.abc import Sequence

_CHINESE_FONT = (
    "<< /Type /Font /Subtype /Type0 /BaseFont /STSong-Light /Encoding /UniGB-UCS2-H /DescendantFonts "
    "[<< /Type /Font /Subtype /CIDFontType0 /BaseFont /STSong-Light /DW 1000 "
    "/CIDSystemInfo << /Registry (Adobe) /Ordering (GB1) /Supplement 2 >> "
    "/FontDescriptor << /Type /FontDescriptor /FontName /STSong-Light /Flags 4 /FontBBox [0 -200 1000 900] "
    "/ItalicAngle 0 /Ascent 859 /Descent -140 /CapHeight 683 /StemV 78 >> >>] >>"
)
_LATIN_FONT = "<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica /Encoding /WinAnsiEncoding >>"


def pdf_of(
    pages: Sequence[Sequence[str]],
    *,
    title: str = "",
    bookmarks: Sequence[tuple[str, int]] = (),
    encrypted: bool = False,
) -> bytes:
    """Return a PDF whose pages hold these lines; `bookmarks` are titles and pages, counted from 0."""
    first_page = 7
    objects = {
        1: f"<< /Type /Catalog /Pages 2 0 R {'/Outlines 6 0 R' if bookmarks else ''} >>",
        2: f"<< /Type /Pages /Count {len(pages)} /Kids "
        f"[{' '.join(f'{first_page + 2 * index} 0 R' for index in range(len(pages)))}] >>",
        3: _LATIN_FONT,
        4: _CHINESE_FONT,
        5: f"<< /Title {_string(title)} >>" if title else "<< >>",
        6: "<< >>",
    }
    for index, lines in enumerate(pages):
        number = first_page + 2 * index
        content = "\n".join(_line(line, 800 - 16 * row) for row, line in enumerate(lines) if line)
        objects[number] = (
            "<< /Type /Page /Parent 2 0 R /MediaBox [0 0 595 842] "
            f"/Resources << /Font << /F1 3 0 R /F2 4 0 R >> >> /Contents {number + 1} 0 R >>"
        )
        objects[number + 1] = f"<< /Length {len(content)} >>\nstream\n{content}\nendstream"
    _add_outline(objects, bookmarks, first_page)
    return _file(objects, encrypted)


def _line(text: str, height: int) -> str:
    if text.isascii():
        escaped = text.replace("\\", "\\\\").replace("(", "\\(").replace(")", "\\)")
        return f"BT /F1 11 Tf 50 {height} Td ({escaped}) Tj ET"
    return f"BT /F2 11 Tf 50 {height} Td <{text.encode('utf-16-be').hex()}> Tj ET"


def _string(text: str) -> str:
    return f"<{(chr(0xFEFF) + text).encode('utf-16-be').hex()}>"


def _add_outline(objects: dict[int, str], bookmarks: Sequence[tuple[str, int]], first_page: int) -> None:
    first = max(objects) + 1
    for index, (title, page) in enumerate(bookmarks):
        following = f"/Next {first + index + 1} 0 R" if index + 1 < len(bookmarks) else ""
        objects[first + index] = (
            f"<< /Title {_string(title)} /Parent 6 0 R {following} /Dest [{first_page + 2 * page} 0 R /Fit] >>"
        )
    if bookmarks:
        last = first + len(bookmarks) - 1
        objects[6] = f"<< /Type /Outlines /First {first} 0 R /Last {last} 0 R /Count {len(bookmarks)} >>"


def _file(objects: dict[int, str], encrypted: bool) -> bytes:
    body = bytearray(b"%PDF-1.7\n")
    offsets: list[int] = []
    for number in sorted(objects):
        offsets.append(len(body))
        body += f"{number} 0 obj\n{objects[number]}\nendobj\n".encode("latin-1")
    table = len(body)
    entries = "".join(f"{offset:010d} 00000 n \n" for offset in offsets)
    # A key that the empty password does not open: readers must ask for the password.
    lock = f"/Encrypt << /Filter /Standard /V 1 /R 2 /P -4 /O <{'41' * 32}> /U <{'42' * 32}> >>" if encrypted else ""
    size = len(objects) + 1
    body += (
        f"xref\n0 {size}\n0000000000 65535 f \n{entries}trailer\n<< /Size {size} /Root 1 0 R /Info 5 0 R "
        f"/ID [<{'00' * 16}> <{'00' * 16}>] {lock} >>\nstartxref\n{table}\n%%EOF\n"
    ).encode("latin-1")
    return bytes(body)
