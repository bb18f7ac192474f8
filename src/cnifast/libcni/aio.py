"""Networks for asyncio: commands run in threads, and are ended when their tasks are cancelled."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor

from cnifast.invoke.call import Cancel

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Self, TypeVar

    from cnifast.libcni.api import CNIConfig
    from cnifast.libcni.conf import NetworkConfig, NetworkConfigList, RuntimeConf
    from cnifast.protocol.result import Result

    T = TypeVar("T")

CONCURRENT = 64  # commands at work; most of their time they wait for the kernel


class AsyncCNIConfig:
    """The commands of a ``CNIConfig`` as coroutines; a context manager that ends its threads.

    A task that is cancelled ends when nothing of its command is running any more: programs are
    killed, and what ADD had attached is detached again.

    Args:
        cni: what does the work.
        concurrent: how many commands are at work at the same time; others wait.
    """

    def __init__(self, cni: CNIConfig, *, concurrent: int = CONCURRENT) -> None:
        self.cni = cni
        self._threads = ThreadPoolExecutor(concurrent, thread_name_prefix="cni")

    async def add_network_list(self, net: NetworkConfigList, rt: RuntimeConf) -> Result:
        """Attach a container to a network; see `CNIConfig.add_network_list`."""
        return await self._run(
            lambda cancel: self.cni.add_network_list(net, rt, cancel=cancel),
            lambda: self.cni.del_network_list(net, rt),
        )

    async def add_network(self, net: NetworkConfig, rt: RuntimeConf) -> Result:
        """Attach a container by one plugin; see `CNIConfig.add_network`."""
        return await self._run(
            lambda cancel: self.cni.add_network(net, rt, cancel=cancel),
            lambda: self.cni.del_network(net, rt),
        )

    async def check_network_list(self, net: NetworkConfigList, rt: RuntimeConf) -> None:
        """Check an attachment; see `CNIConfig.check_network_list`."""
        await self._run(lambda cancel: self.cni.check_network_list(net, rt, cancel=cancel))

    async def del_network_list(self, net: NetworkConfigList, rt: RuntimeConf) -> None:
        """Detach a container from a network; see `CNIConfig.del_network_list`."""
        await self._run(lambda cancel: self.cni.del_network_list(net, rt, cancel=cancel))

    async def del_network(self, net: NetworkConfig, rt: RuntimeConf) -> None:
        """Detach a container by one plugin; see `CNIConfig.del_network`."""
        await self._run(lambda cancel: self.cni.del_network(net, rt, cancel=cancel))

    def close(self) -> None:
        """Wait for what is running, and end the threads."""
        self._threads.shutdown()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    async def _run(
        self, command: Callable[[Cancel], T], undo: Callable[[], None] | None = None
    ) -> T:
        """Run a command in a thread; it has ended when this ends, however it does."""
        cancel = Cancel()
        future = self._threads.submit(command, cancel)
        waiting = asyncio.wrap_future(future)
        try:
            return await asyncio.shield(waiting)
        except asyncio.CancelledError as e:
            cancel.set()
            if not future.cancel() and await _failure(waiting) is None and undo is not None:
                failure = await _failure(self._start(undo))
                if failure is not None:
                    e.add_note(f"while undoing: {failure}")
            raise
        finally:
            cancel.close()

    def _start(self, work: Callable[[], None]) -> asyncio.Future[None]:
        """Have a thread do something, one of the loop's where ours have ended."""
        try:
            return asyncio.wrap_future(self._threads.submit(work))
        except RuntimeError:
            return asyncio.get_running_loop().run_in_executor(None, work)


async def _failure(waiting: asyncio.Future[T]) -> BaseException | None:
    """Wait for the end of a command, whatever happens meanwhile; return how it failed, if so."""
    while not waiting.done():
        try:
            await asyncio.wait([waiting])
        except asyncio.CancelledError:
            continue
    return waiting.exception()
