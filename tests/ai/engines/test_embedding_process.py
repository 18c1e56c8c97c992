"""An embedding model in a process of its own: what crosses the pipe, and what a death of the process means."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import numpy as np
import psutil
import pytest

from edgecli.ai.engines.embedding_loading import EmbeddingOptions
from edgecli.ai.engines.embedding_process import EmbeddingProcess
from edgecli.ai.engines.embedding_thread import EmbeddingThread
from edgecli.errors import EngineError, UsageError

pytestmark = pytest.mark.models

Work = Callable[[EmbeddingProcess], Awaitable[None]]


def options(folder: Path) -> EmbeddingOptions:
    return EmbeddingOptions(str(folder), engine="onnx", pooling="mean", threads=1)


def life(folder: Path, work: Work) -> None:
    async def main() -> None:
        model = await EmbeddingProcess.start(options(folder))
        try:
            await work(model)
        finally:
            await model.close()
        assert not psutil.pid_exists(model.facts.pid)

    asyncio.run(main())


@pytest.mark.slow
def test_the_thread_and_the_process_give_the_same(embedding_folder: Path) -> None:
    texts = ["refund", "退款", "", "a lone \ud800 surrogate", "long " * 400]

    async def work(model: EmbeddingProcess) -> None:
        thread = await EmbeddingThread.start(options(embedding_folder))
        assert model.facts.pid != thread.facts.pid == os.getpid()
        for pooling in (None, "cls"):
            vectors = await model.embed(texts, pooling)
            assert vectors.dtype == np.float32
            assert np.array_equal(vectors, await thread.embed(texts, pooling))
        assert (await model.embed([], None)).shape == (await thread.embed([], None)).shape == (0, 384)
        assert model.tokens.count_tokens(texts) == thread.tokens.count_tokens(texts)
        assert model.tokens.offsets(texts[1]) == thread.tokens.offsets(texts[1])
        await thread.close()
        with pytest.raises(UsageError, match="'/pooling' is 'middle'"):
            await model.embed(texts, "middle")
        assert (await model.embed(["afterwards"], None)).shape == (1, 384)

    life(embedding_folder, work)


def test_a_killed_process_ends_its_requests_with_an_error(embedding_folder: Path) -> None:
    async def work(model: EmbeddingProcess) -> None:
        running = [asyncio.create_task(model.embed(["word " * 200] * 64, None)) for _ in range(3)]
        await asyncio.sleep(0)
        os.kill(model.facts.pid, signal.SIGKILL)
        for each in running:
            with pytest.raises(EngineError, match="SIGKILL") as caught:
                await each
            assert (caught.value.code, caught.value.status) == ("model_process_died", 503)
        assert not model.alive

    life(embedding_folder, work)


def test_closing_waits_for_no_work(embedding_folder: Path) -> None:
    async def work(model: EmbeddingProcess) -> None:
        running = asyncio.create_task(model.embed(["word " * 200] * 5000, None))
        await asyncio.sleep(0)
        await model.close()
        with pytest.raises(EngineError, match="was unloaded while it worked") as caught:
            await running
        assert caught.value.code == "model_unloaded"

    life(embedding_folder, work)


def test_a_model_that_cannot_be_loaded(tmp_path: Path) -> None:
    async def main() -> None:
        with pytest.raises(EngineError, match="holds no embedding model") as caught:
            await EmbeddingProcess.start(options(tmp_path))
        assert caught.value.code == "model_files_missing"

    asyncio.run(main())


@pytest.mark.slow
def test_the_process_ends_with_the_one_that_started_it(embedding_folder: Path) -> None:
    program = (
        "import asyncio, sys\n"
        "from edgecli.ai.engines.embedding_loading import EmbeddingOptions\n"
        "from edgecli.ai.engines.embedding_process import EmbeddingProcess\n"
        "async def main():\n"
        "    model = await EmbeddingProcess.start(EmbeddingOptions(sys.argv[1], engine='onnx'))\n"
        "    print(model.facts.pid, flush=True)\n"
        "    await model.embed(['word ' * 200] * 5000, None)\n"
        "asyncio.run(main())\n"
    )
    parent = subprocess.Popen([sys.executable, "-c", program, str(embedding_folder)], stdout=subprocess.PIPE)
    assert parent.stdout is not None
    pid = int(parent.stdout.readline())
    parent.kill()
    parent.wait()
    parent.stdout.close()
    deadline = time.monotonic() + 60
    while psutil.pid_exists(pid) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert not psutil.pid_exists(pid)
