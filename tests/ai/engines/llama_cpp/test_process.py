"""A model in its own process: what crosses the pipe, and what a death of the process means."""

from __future__ import annotations

import asyncio
import os
import signal
from contextlib import aclosing
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from edgecli.ai.engines.generation import GenerationRequest, Piece
from edgecli.ai.engines.llama_cpp.options import LoadOptions
from edgecli.ai.engines.llama_cpp.process import LlamaProcess
from edgecli.errors import EngineError, UsageError
from tests.ai.engines.llama_cpp.running import chat, raw

pytestmark = pytest.mark.models


def options(folder: Path) -> LoadOptions:
    return LoadOptions(path=str(folder), context=512, slots=4)


async def text_of(model: LlamaProcess, request: GenerationRequest) -> str:
    return "".join([piece.text async for piece in model.generate(request)])


def test_a_life(generation_folder: Path) -> None:
    async def main() -> None:
        model = await LlamaProcess.start(options(generation_folder))
        pid = model.facts.pid
        assert pid != os.getpid()
        assert psutil.pid_exists(pid)
        request = chat("Name three colours.")
        pieces: list[Piece] = [piece async for piece in model.generate(request)]
        usage = pieces[-1].usage
        assert usage is not None
        assert usage.prompt_tokens == await model.count_prompt(request)
        assert await model.count_tokens(["", "hello"]) == [0, 1]
        assert "".join(piece.text for piece in pieces)
        with pytest.raises(UsageError, match="Max context reached") as caught:
            await text_of(model, chat("word " * 600))
        assert (caught.value.cf_code, caught.value.status) == (3030, 400)
        assert (await model.statistics())["finished"] == 1
        await model.close()
        assert not psutil.pid_exists(pid)

    asyncio.run(main())


def test_many_at_once(generation_folder: Path) -> None:
    async def main() -> None:
        model = await LlamaProcess.start(options(generation_folder))
        try:
            answers = await asyncio.gather(*(text_of(model, raw(f"{n}, {n + 1},", max_tokens=4)) for n in range(12)))
            assert all(answers)
            assert (await model.statistics())["mean_batch"] > 1
        finally:
            await model.close()

    asyncio.run(main())


def test_who_stops_listening_ends_the_request(generation_folder: Path) -> None:
    async def main() -> None:
        model = await LlamaProcess.start(options(generation_folder))
        try:
            async with aclosing(model.generate(raw("Count: 1, 2,", max_tokens=400))) as pieces:
                await anext(pieces)
            while (now := await model.statistics())["running"]:  # noqa: ASYNC110 - it is another process that changes
                await asyncio.sleep(0.05)
            assert now["cancelled"] == 1
        finally:
            await model.close()

    asyncio.run(main())


def test_a_killed_process_ends_its_requests_with_an_error(generation_folder: Path) -> None:
    async def main() -> None:
        model = await LlamaProcess.start(options(generation_folder))
        try:
            running = [model.generate(raw(f"Story {number}", max_tokens=400)) for number in range(3)]
            for each in running:
                await anext(each)
            os.kill(model.facts.pid, signal.SIGKILL)
            for each in running:
                with pytest.raises(EngineError, match="SIGKILL") as caught:
                    async for _ in each:
                        pass
                assert (caught.value.code, caught.value.status) == ("model_process_died", 503)
            assert not model.alive
            with pytest.raises(EngineError, match="SIGKILL"):
                await text_of(model, raw("More"))
        finally:
            await model.close()

    asyncio.run(main())


def test_what_native_code_printed_last_is_told(generation_folder: Path) -> None:
    async def main() -> None:
        model = await LlamaProcess.start(options(generation_folder))
        try:
            await text_of(model, raw("Before", max_tokens=1))
            os.kill(model.facts.pid, signal.SIGABRT)
            with pytest.raises(EngineError, match="SIGABRT"):
                await text_of(model, raw("More", max_tokens=50))
        finally:
            await model.close()

    asyncio.run(main())


def test_a_model_that_cannot_be_loaded(tmp_path: Path) -> None:
    (tmp_path / "bad.gguf").write_text("not a model")

    async def main() -> None:
        with pytest.raises(EngineError, match=r"bad\.gguf.*cannot be loaded") as caught:
            await LlamaProcess.start(replace(options(tmp_path)))
        assert caught.value.code == "model_load_failed"

    asyncio.run(main())


def test_a_model_that_must_be_whole_is_refused_where_it_will_not_fit(generation_folder: Path) -> None:
    async def main() -> None:
        with pytest.raises(EngineError, match="does not fit into the memory that is free: machine") as caught:
            await LlamaProcess.start(replace(options(generation_folder), cells=1 << 40, gpu_layers=0, whole=True))
        assert (caught.value.code, caught.value.details) == ("out_of_memory", {"lacks": ["machine"]})

    asyncio.run(main())


@pytest.mark.slow
def test_the_process_ends_with_the_one_that_started_it(generation_folder: Path) -> None:
    import subprocess
    import sys
    import time

    program = (
        "import asyncio, os, sys\n"
        "from edgecli.ai.engines.llama_cpp.options import LoadOptions\n"
        "from edgecli.ai.engines.llama_cpp.process import LlamaProcess\n"
        "async def main():\n"
        "    model = await LlamaProcess.start(LoadOptions(path=sys.argv[1], context=256))\n"
        "    print(model.facts.pid, flush=True)\n"
        "    await asyncio.sleep(600)\n"
        "asyncio.run(main())\n"
    )
    parent = subprocess.Popen([sys.executable, "-c", program, str(generation_folder)], stdout=subprocess.PIPE)
    assert parent.stdout is not None
    pid = int(parent.stdout.readline())
    parent.kill()
    parent.wait()
    parent.stdout.close()
    deadline = time.monotonic() + 60
    while psutil.pid_exists(pid) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert not psutil.pid_exists(pid)
