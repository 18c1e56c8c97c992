"""The chat in a pipe: a real process, text in, text out."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.chat.far_side import FarSide

RUN = "/ai/run/@edge/talker"


def chat(*arguments: str, stdin: bytes) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        [sys.executable, "-m", "edgecli", "chat", *arguments],
        input=stdin,
        capture_output=True,
        timeout=60,
        check=False,
    )


def test_each_line_is_a_turn_and_answers_alone_come_out(talk: Path, far_side: FarSide) -> None:
    del talk
    done = chat("--system", "Be brief.", stdin="你好\n\n  \n/model is a word\n".encode())
    assert (done.returncode, done.stdout.decode(), done.stderr) == (0, "你好\n/model is a word\n", b"")
    first, second = far_side.bodies(RUN)
    assert first["messages"][0] == {"role": "system", "content": "Be brief."}
    assert [message["content"] for message in second["messages"][1:]] == ["你好", "你好", "/model is a word"]
    assert far_side.requests[0]["token"] == "Bearer secret"


def test_sources_and_doubts_go_to_stderr(talk: Path) -> None:
    del talk
    done = chat("--index", "handbook", stdin=b"how long?\nguess\n")
    assert done.stdout.decode() == "You have 30 days [1].\nIt takes 3 weeks.\n"
    assert done.stderr.decode() == (
        "[1] docs/refunds.md › Money › Refunds\nnot supported by `handbook`: It takes 3 weeks.\n"
    )


def test_a_quoted_answer_says_so(talk: Path) -> None:
    del talk
    done = chat("--index", "handbook", stdin=b"quote")
    assert done.stderr.decode().splitlines()[-1] == (
        "The model said nothing that the documents support, so they are quoted."
    )
    assert json.loads(chat("--json", "--index", "handbook", stdin=b"quote").stdout)["method"] == "quoted"


def test_json_names_the_stand_in(talk: Path, far_side: FarSide) -> None:
    del talk
    far_side.stand_in = "@edge/tiny"
    assert json.loads(chat("--json", stdin=b"one").stdout)["model"] == "@edge/talker (stand-in: @edge/tiny)"


def test_json_is_one_object_a_turn(talk: Path) -> None:
    del talk
    done = chat("--json", stdin=b"one\ntwo")
    turns = [json.loads(line) for line in done.stdout.splitlines()]
    assert [(turn["role"], turn["content"]) for turn in turns] == [("assistant", "one"), ("assistant", "two")]
    assert turns[0]["usage"]["completion_tokens"] == 5
    sourced = json.loads(chat("--json", "--index", "handbook", stdin=b"how long?").stdout)
    assert sourced["cited"] == [1] and sourced["grounded"] is True and sourced["sources"][1]["n"] == 2


@pytest.mark.parametrize(
    ("question", "code", "message", "out"),
    [
        ("refuse", 3, "There is no such model.", ""),
        ("break", 5, "The engine failed.", "Half an \n"),
        ("vanish", 6, "The server went away", "Half an \n"),
        ("end early", 6, "The stream ended before the answer did.", "Half an \n"),
    ],
)
def test_an_error_ends_the_pipe_with_its_exit_code(
    talk: Path, far_side: FarSide, question: str, code: int, message: str, out: str
) -> None:
    del talk
    done = chat(stdin=f"{question}\nhello\n".encode())
    assert (done.returncode, done.stdout.decode()) == (code, out)
    assert message in done.stderr.decode()
    assert len(far_side.bodies(RUN)) == 1


def test_an_error_is_json_where_json_was_asked_for(talk: Path) -> None:
    del talk
    done = chat("--json", "--index", "nothing", stdin=b"hi\n")
    assert done.returncode == 3
    assert json.loads(done.stderr)["errors"][0]["edge"]["code"] == "unknown_index"


@pytest.mark.parametrize(
    ("stdin", "code"),
    [(b"", "There is no message on stdin."), (b"\n\n", "There is no"), (b"ok\n\xff\n", "Line 2")],
)
def test_an_input_without_text_is_wrong_usage(talk: Path, stdin: bytes, code: str) -> None:
    del talk
    done = chat(stdin=stdin)
    assert done.returncode == 2 and code in done.stderr.decode()


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_closes_the_request_and_ends_the_process(
    talk: Path, far_side: FarSide, number: signal.Signals, code: int
) -> None:
    del talk
    process = subprocess.Popen(
        [sys.executable, "-m", "edgecli", "chat"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=os.environ | {"PYTHONUNBUFFERED": "1"},
    )
    assert process.stdin is not None and process.stdout is not None
    process.stdin.write(b"slow\n")
    process.stdin.flush()
    assert process.stdout.read(5) == b"word0"
    process.send_signal(number)
    _, complaint = process.communicate(timeout=30)
    assert process.returncode == code, complaint
    assert b"Traceback" not in complaint
    assert far_side.hung_up.wait(10)


def test_a_reader_that_leaves_ends_the_chat_quietly(talk: Path, far_side: FarSide) -> None:
    del talk
    done = subprocess.run(
        f"printf 'slow\\n' | {sys.executable} -m edgecli chat | head -c 5",
        shell=True,
        capture_output=True,
        timeout=60,
        check=False,
    )
    assert (done.stdout, done.stderr) == (b"word0", b"")
    assert far_side.hung_up.wait(10)


def test_outside_a_project_an_index_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    done = chat("--index", "docs", stdin=b"hi\n")
    assert done.returncode == 4 and b"edgecli init" in done.stderr


def test_a_model_that_cannot_chat_is_refused_before_a_turn(talk: Path, far_side: FarSide) -> None:
    del talk
    done = chat("--model", "@edge/none", stdin=b"hi\n")
    assert (done.returncode, done.stdout) == (3, b"")
    assert "There is no text generation model `@edge/none`." in done.stderr.decode()
    assert far_side.bodies(RUN) == []
