from __future__ import annotations

import codecs

import pytest

from edgecli.documents.encoding import decode

CHINESE = "数据库是按照数据结构来组织、存储和管理数据的仓库。自购买之日起三十天内可以申请退款。"
TRADITIONAL = "資料庫是按照資料結構來組織、儲存和管理資料的倉庫。自購買之日起三十天內可以申請退款。"
JAPANESE = "データベースとは、検索や蓄積が容易にできるよう整理された情報の集まりである。"
KOREAN = "데이터베이스는 여러 사람이 공유하여 사용할 목적으로 체계화해 통합 관리하는 데이터의 집합이다."
GERMAN = "Über die Größe der Straße: schöne Grüße aus München. Das Wetter ist schön – für 5 €."
RUSSIAN = "База данных — это совокупность данных, хранимых в соответствии со схемой данных."


@pytest.mark.parametrize(
    ("text", "encoding"),
    [
        (CHINESE, "utf-8"),
        (CHINESE, "gb18030"),
        (CHINESE, "gbk"),
        (TRADITIONAL, "big5"),
        (JAPANESE, "shift_jis"),
        (JAPANESE, "euc_jp"),
        (KOREAN, "euc_kr"),
        (GERMAN, "cp1252"),
        (RUSSIAN, "cp1251"),
        ("plain ASCII", "ascii"),
        (CHINESE + "\n", "utf-16-le"),
        (CHINESE + "\r\n", "utf-16-be"),
        ("English text", "utf-16-le"),
    ],
)
def test_undeclared_text(text: str, encoding: str) -> None:
    decoded = decode(text.encode(encoding))
    assert decoded is not None
    assert decoded[0] == text


@pytest.mark.parametrize(
    ("mark", "encoding"),
    [
        (codecs.BOM_UTF8, "utf-8"),
        (codecs.BOM_UTF16_LE, "utf-16-le"),
        (codecs.BOM_UTF16_BE, "utf-16-be"),
        (codecs.BOM_UTF32_LE, "utf-32-le"),
        (codecs.BOM_UTF32_BE, "utf-32-be"),
    ],
)
def test_a_byte_order_mark_decides_and_is_no_text(mark: bytes, encoding: str) -> None:
    assert decode(mark + CHINESE.encode(encoding)) == (CHINESE, encoding)


def test_one_chinese_comment_in_much_code() -> None:
    source = "int value = 0;\n" * 500 + "// 这个函数用来计算退款的金额\n" + "int other = 1;\n" * 500
    decoded = decode(source.encode("gbk"))
    assert decoded == (source, "gb18030")


def test_a_page_says_what_it_is() -> None:
    page = '<html><head><meta charset="gb2312"></head><body>你好</body></html>'
    assert decode(page.encode("gbk"), markup=True) == (page, "gb18030")
    old = '<meta http-equiv="Content-Type" content="text/html; charset=Big5"><p>你好嗎</p>'
    assert decode(old.encode("big5"), markup=True) == (old, "big5hkscs")
    xml = '<?xml version="1.0" encoding="euc-jp"?><html><p>こんにちは</p></html>'
    assert decode(xml.encode("euc_jp"), markup=True) == (xml, "euc_jp")
    python = "# -*- coding: gbk -*-\n# 你好\n"
    assert decode(python.encode("gbk")) == (python, "gb18030")


@pytest.mark.parametrize("declared", ["utf-8", "shift_jis", "no-such-encoding", "base64", "rot13"])
def test_a_wrong_declaration_does_no_harm(declared: str) -> None:
    page = f'<meta charset="{declared}"><p>{CHINESE}</p>'
    decoded = decode(page.encode("gb18030"), markup=True)
    assert decoded is not None
    assert CHINESE in decoded[0]


def test_a_few_broken_bytes_do_not_change_the_encoding() -> None:
    data = (CHINESE * 20).encode("utf-8")
    decoded = decode(data[:700] + b"\xff" + data[700:])
    assert decoded is not None
    assert decoded[1] == "utf-8"
    assert decoded[0].count("数据库") == 20
    cut = decode(data[:-1])
    assert cut is not None
    assert cut[1] == "utf-8"


@pytest.mark.parametrize("data", [b"\0\1\2\3" * 40, b"text\0more\0\0text", bytes(range(256)) * 4])
def test_zero_bytes_are_no_text(data: bytes) -> None:
    assert decode(data) is None
