from __future__ import annotations

from pathlib import Path

import pytest

from edgecli.documents.formats.definitions import defined_name
from tests.documents.words import chunks_of, document_of


@pytest.mark.parametrize(
    ("line", "name"),
    [
        ("def parse(source: str) -> int:", "parse"),
        ("    async def read(self):", "read"),
        ("class Reader(Base):", "Reader"),
        ("export default async function load(url) {", "load"),
        ("export const useShop = (id: number) => {", "useShop"),
        ("  render() {", "render"),
        ("export interface Shop {", "Shop"),
        ("public static void main(String[] args) {", "main"),
        ("static int compare(const void *a, const void *b)", "compare"),
        ("std::vector<int> Shop::items() const {", "Shop::items"),
        ("func (s *Server) Handle(w Writer) error {", "Handle"),
        ("type Config struct {", "Config"),
        ("pub(crate) async fn run<T>(x: T) -> u8 {", "run"),
        ("impl<T> Display for Wrapper<T> {", "Display"),
        ("macro_rules! edge {", "edge"),
        ("CREATE TABLE IF NOT EXISTS prices (", "prices"),
        ("deploy() {", "deploy"),
        ('resource "aws_instance" "web" {', 'resource "aws_instance" "web'),
        ("(defn total [items]", "total"),
        ("defmodule Shop.Cart do", "Shop.Cart"),
        ("local function add(a, b)", "add"),
        ("total <- function(x) {", "total"),
        ("message Refund {", "Refund"),
        ("build: deps", None),
        ("test:", "test"),
        ("[tool.ruff]", "tool.ruff"),
        ("    if (ready) {", None),
        ("    return compute(value)", None),
        ("type of the result is not known", None),
        ("x = compute(1)", None),
        ("# def old():", None),
        ("// class Gone {", None),
        ("else:", None),
        ("", None),
    ],
)
def test_lines_that_define(line: str, name: str | None) -> None:
    assert defined_name(line) == name


PYTHON = '''"""A shop."""

import os

RATE = 3


class Shop:
    """Sells things."""

    def __init__(self) -> None:
        self.items = []
        self.total = 0
        self.customers = {}

    # Money goes back.
    @property
    def refund(self) -> int:
        first = self.total * RATE
        second = first + len(self.items)

        return first + second + len(self.customers)

    names = ("a", "b", "c", "d", "e", "f", "g", "h", "i")


def main() -> None:
    shop = Shop()
    print(shop.refund, shop.items, shop.total, shop.customers, os.sep)
'''


def test_chunks_follow_the_definitions(tmp_path: Path) -> None:
    chunks = chunks_of(document_of(tmp_path, "shop.py", PYTHON), size=52)
    holder = {name: next(chunk for chunk in chunks if name in chunk.text) for name in ("refund(self)", "def main")}
    assert holder["refund(self)"].heading == "Shop > refund"
    assert holder["refund(self)"].text.startswith("# Money goes back.\n    @property")
    assert "return first" in holder["refund(self)"].text
    assert holder["def main"].heading == "main"
    names = next(chunk for chunk in chunks if "names =" in chunk.text)
    assert names.heading == "Shop"


def test_tables_of_toml_are_headings(tmp_path: Path) -> None:
    source = "".join(f'[section-{n}]\nname = "x"\n\nother = [{", ".join("1" * 30)}]\n\n' for n in range(3))
    chunks = chunks_of(document_of(tmp_path, "a.toml", source), size=80)
    assert [chunk.heading for chunk in chunks] == ["section-0", "section-1", "section-2"]
    assert all("other" in chunk.text for chunk in chunks)


def test_a_long_function_keeps_its_heading(tmp_path: Path) -> None:
    body = "\n".join(f"    value_{n} = compute(value_{n}, other)" for n in range(60))
    chunks = chunks_of(document_of(tmp_path, "a.py", f"def long_one():\n{body}\n"), size=60, overlap=10)
    assert len(chunks) > 5
    assert {chunk.heading for chunk in chunks} == {"long_one"}
    assert all(chunk.text.startswith(("value_", "def ")) for chunk in chunks)
