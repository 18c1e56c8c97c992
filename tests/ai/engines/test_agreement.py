"""ONNX Runtime and sentence-transformers give the same vectors."""

from __future__ import annotations

import random
from pathlib import Path

import numpy as np
import pytest

from edgecli.ai.engines.onnx import OnnxEmbedding
from edgecli.ai.engines.sentence_transformers import SentenceTransformersEmbedding

pytestmark = [pytest.mark.models, pytest.mark.slow]

WORDS = [
    "refund",
    "order",
    "the",
    "customer",
    "must",
    "within",
    "days",
    "product",
    "shipping",
    "policy",
    "account",
    "to",
    "of",
    "and",
    "naïve",
    "Größe",
]
HAN = "退款申请需要在收到商品之后七个工作日内提交并且附上订单号码与付款凭证客服会尽快处理"
CODE = [
    "def ",
    "return ",
    "x",
    " = ",
    "{",
    "}",
    "();\n",
    "    ",
    "\t",
    "self.",
    "if ",
    "!= None",
    "//",
    "#",
    '"a"',
]
SIGNS = ["🙂", "👩‍👩‍👧", "♥️", "→", "±", "€", "𝔘", "\u200b", "e\u0301"]
ODD = [
    " ",
    " . ",
    "\n\n\n",
    "?",
    "a",
    "\u0000",
    "…",
    "-" * 40,
    "\u3000",
    "a" * 50_000,
    "长" * 50_000,
    "word " * 10_000,
]


def varied_texts(count: int) -> list[str]:
    """Return texts of every kind, the same at each run."""
    chance = random.Random(20261123)
    texts = list(ODD)
    while len(texts) < count:
        kind = len(texts) % 4
        length = chance.choice([1, 3, 10, 40, 150])
        if kind == 0:
            texts.append(" ".join(chance.choices(WORDS, k=length)))
        elif kind == 1:
            texts.append("".join(chance.choices(HAN + "，。！？", k=length)))
        elif kind == 2:
            texts.append("".join(chance.choices(CODE, k=length)))
        else:
            texts.append("".join(chance.choices([*SIGNS, *WORDS, *HAN, " "], k=length)))
    return texts


def test_two_hundred_texts(embedding_folder: Path) -> None:
    onnx = OnnxEmbedding(embedding_folder)
    reference = SentenceTransformersEmbedding(embedding_folder, device="cpu")
    assert (onnx.dimensions, onnx.max_tokens, onnx.pooling) == (
        reference.dimensions,
        reference.max_tokens,
        reference.pooling,
    )
    texts = varied_texts(200)
    assert onnx.count_tokens(texts) == reference.count_tokens(texts)
    for pooling in (None, "cls"):
        ours, theirs = onnx.embed(texts, pooling=pooling), reference.embed(texts, pooling=pooling)
        assert ours.dtype == theirs.dtype == np.float32
        lengths = np.linalg.norm(ours, axis=1) * np.linalg.norm(theirs, axis=1)
        assert ((ours * theirs).sum(axis=1) / lengths).min() >= 0.999
    assert not np.allclose(onnx.embed(["退款 now"]), onnx.embed(["退款 now"], pooling="cls"), atol=0.01)
    onnx.close()
    reference.close()
