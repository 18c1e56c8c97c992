"""A workerd that computes without end, or takes too much memory, is found out."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

import httpx2

from edgecli.config.settings import WorkersSettings
from edgecli.workers.process import WorkerError
from edgecli.workers.workerd.proxy import Proxy

PING_SECONDS = 2.0
MEMORY_SECONDS = 0.25
"""Between two looks at the memory: JavaScript fills a gigabyte in half a second."""
_PAGE = os.sysconf("SC_PAGE_SIZE") if hasattr(os, "sysconf") else 4096


async def watch(process: asyncio.subprocess.Process, proxy: Proxy, settings: WorkersSettings) -> WorkerError | None:
    """Return why a process must be ended, `worker_stalled` or `worker_memory`; None when it has ended by itself.

    workerd runs JavaScript and HTTP on one thread: as long as a Worker computes, nobody answers a ping.
    """
    pinging = asyncio.create_task(_answers(proxy, settings.stall_timeout))
    try:
        while process.returncode is None:
            if (used := _memory(process.pid)) > settings.memory << 20:
                return WorkerError(
                    f"The Worker used {used >> 20} MiB of memory and was ended.",
                    hint=f"`edgecli.workers.memory` allows {settings.memory} MiB.",
                    code="worker_memory",
                )
            await asyncio.wait({pinging}, timeout=MEMORY_SECONDS)
            if not pinging.done():
                continue  # one that computes may take memory all the time
            if not pinging.result():
                seconds = f"{settings.stall_timeout:g} s"
                return WorkerError(
                    f"The Worker computed for {seconds} without a pause and was ended: an endless loop?",
                    hint="`edgecli.workers.stall_timeout` sets how long it may.",
                    code="worker_stalled",
                )
            pinging = asyncio.create_task(_answers(proxy, settings.stall_timeout))
        return None
    finally:
        pinging.cancel()


async def _answers(proxy: Proxy, timeout: float) -> bool:
    """Tell, after a while, whether the process answers a ping within `timeout` seconds."""
    await asyncio.sleep(min(PING_SECONDS, timeout / 2))
    try:
        await proxy.do("ping", timeout=timeout)
    except httpx2.TimeoutException:
        return False
    except httpx2.TransportError:
        pass  # it ends just now; whoever waits for it says how
    return True


def _memory(pid: int) -> int:
    """Return the bytes of memory that a process holds; 0 where the system does not say."""
    try:
        return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * _PAGE
    except (OSError, ValueError, IndexError):
        return 0
