"""Networks for asyncio."""

from __future__ import annotations

import asyncio
import json
import os
import threading
from typing import TYPE_CHECKING, Any

import pytest

from cnifast.libcni import (
    AsyncCNIConfig,
    CNIConfig,
    ProcessExec,
    RuntimeConf,
    conf_from_bytes,
    conf_list_from_bytes,
)
from cnifast.protocol.errors import CNIError
from helpers.fakeexec import Asked, FakeExec, conf_list

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

RT = RuntimeConf("c1", "/run/netns/c1")
NET = conf_list_from_bytes(json.dumps(conf_list("a", "b")).encode())


@pytest.fixture
def plugins() -> FakeExec:
    """What runs plugins."""
    return FakeExec()


@pytest.fixture
def cni(plugins: FakeExec, tmp_path: Path) -> Iterator[AsyncCNIConfig]:
    """A CNIConfig for asyncio with an empty cache."""
    with AsyncCNIConfig(CNIConfig("/a", plugins, str(tmp_path))) as found:
        yield found


def test_commands(cni: AsyncCNIConfig, plugins: FakeExec) -> None:
    """Every command does what the one without asyncio does."""
    alone = conf_from_bytes(b'{"type": "c", "name": "alone", "cniVersion": "1.0.0"}')

    async def session() -> None:
        result = await cni.add_network_list(NET, RT)
        assert [link.name for link in result.interfaces] == ["a", "b"]
        await cni.check_network_list(NET, RT)
        await cni.del_network_list(NET, RT)
        await cni.add_network(alone, RT)
        await cni.del_network(alone, RT)

    asyncio.run(session())
    assert plugins.log[:4] == ["ADD a", "ADD b", "CHECK a", "CHECK b"]
    assert plugins.log[4:] == ["DEL b", "DEL a", "ADD c", "DEL c"]


def test_failures(cni: AsyncCNIConfig, plugins: FakeExec) -> None:
    """An error is raised where the command is awaited."""
    plugins.failing["ADD", "b"] = CNIError(11, "busy")

    async def session() -> None:
        with pytest.raises(CNIError, match="busy"):
            await cni.add_network_list(NET, RT)

    asyncio.run(session())


def test_commands_run_at_the_same_time(cni: AsyncCNIConfig, plugins: FakeExec) -> None:
    """Commands of several tasks are at work together."""
    together = threading.Barrier(8, timeout=20)
    plugins.hook = lambda asked: together.wait() if asked.plugin == "a" else None

    async def session() -> None:
        rts = [RuntimeConf(f"c{number}", "/run/netns/x") for number in range(8)]
        await asyncio.gather(*(cni.add_network_list(NET, rt) for rt in rts))

    asyncio.run(session())
    assert len(plugins.log) == 16


def test_cancelled_add_leaves_nothing(cni: AsyncCNIConfig, plugins: FakeExec) -> None:
    """A task that is cancelled while a plugin is at work ends when all is undone."""
    working, cancelled = threading.Event(), threading.Event()

    def hook(asked: Asked) -> None:
        if repr(asked) == "ADD b":
            working.set()
            assert cancelled.wait(20)
            assert asked.args.cancel is not None
            while not asked.args.cancel.is_set:
                pass

    plugins.hook = hook

    async def session() -> None:
        task = asyncio.create_task(cni.add_network_list(NET, RT))
        await asyncio.to_thread(working.wait, 20)
        task.cancel()
        cancelled.set()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert plugins.log == ["ADD a", "ADD b", "DEL a"]

    asyncio.run(session())
    assert cni.cni.get_cached_attachments() == []


def test_add_that_succeeds_though_it_was_cancelled(cni: AsyncCNIConfig, plugins: FakeExec) -> None:
    """When cancelling comes too late for ADD its attachment is taken back."""
    working, done = threading.Event(), threading.Event()
    add = cni.cni.add_network_list

    def late(*args: object, **_: object) -> object:
        result = add(*args)  # type: ignore[arg-type]
        working.set()
        assert done.wait(20)
        return result

    cni.cni.add_network_list = late  # type: ignore[assignment, method-assign]

    async def session() -> None:
        task = asyncio.create_task(cni.add_network_list(NET, RT))
        await asyncio.to_thread(working.wait, 20)
        task.cancel()
        await asyncio.sleep(0)
        task.cancel()  # which does not put it off either
        done.set()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(session())
    assert plugins.log == ["ADD a", "ADD b", "DEL b", "DEL a"]
    assert cni.cni.get_cached_attachments() == []


def test_cancelled_before_it_began(plugins: FakeExec, tmp_path: Path) -> None:
    """A command that no thread was free for is never run when its task is cancelled."""
    working, go_on = threading.Event(), threading.Event()

    def hook(_: Asked) -> None:
        working.set()
        assert go_on.wait(20)

    plugins.hook = hook
    with AsyncCNIConfig(CNIConfig("/a", plugins, str(tmp_path)), concurrent=1) as cni:

        async def session() -> None:
            first = asyncio.create_task(cni.add_network_list(NET, RT))
            await asyncio.to_thread(working.wait, 20)
            second = asyncio.create_task(cni.add_network_list(NET, RuntimeConf("c2", "/x")))
            await asyncio.sleep(0)
            second.cancel()
            with pytest.raises(asyncio.CancelledError):
                await second
            go_on.set()
            await first

        asyncio.run(session())
    assert {asked.args.container_id for asked in plugins.asked} == {"c1"}


def test_closed_before_its_tasks_were_told(plugins: FakeExec, tmp_path: Path) -> None:
    """What ADD has attached is detached again though the threads have ended meanwhile."""
    working, go_on = threading.Event(), threading.Event()

    def hook(asked: Asked) -> None:
        if asked.args.container_id == "c1":
            raise CNIError(11, "busy")
        if asked.command == "ADD":
            working.set()
            assert go_on.wait(20)

    plugins.hook = hook

    class Closing(AsyncCNIConfig):
        def close(self) -> None:
            go_on.set()
            super().close()

    async def session() -> None:
        with Closing(CNIConfig("/a", plugins, str(tmp_path))) as cni:
            other = asyncio.create_task(cni.add_network_list(NET, RuntimeConf("c2", "/x")))
            await asyncio.to_thread(working.wait, 20)
            await asyncio.gather(cni.add_network_list(NET, RT), other)

    with pytest.raises(CNIError, match="busy"):
        asyncio.run(session())
    log = [repr(asked) for asked in plugins.asked if asked.args.container_id == "c2"]
    assert log == ["ADD a", "ADD b", "DEL b", "DEL a"]
    assert CNIConfig("/a", plugins, str(tmp_path)).get_cached_attachments() == []


def test_failure_to_undo_is_told(plugins: FakeExec, tmp_path: Path) -> None:
    """Where an attachment nobody waits for cannot be undone, the cancelled task says so."""
    done = threading.Event()
    plugins.failing["DEL", "b"] = CNIError(999, "no")
    plugins.hook = lambda asked: asked.plugin == "b" and done.wait(20)
    cni = CNIConfig("/a", plugins, str(tmp_path))

    class Deaf(CNIConfig):
        def add_network_list(self, net: Any, rt: RuntimeConf, *, cancel: Any = None) -> Any:
            del cancel
            return cni.add_network_list(net, rt)

    async def session() -> None:
        with AsyncCNIConfig(Deaf("/a", plugins, str(tmp_path))) as config:
            task = asyncio.create_task(config.add_network_list(NET, RT))
            await asyncio.sleep(0)
            task.cancel()
            done.set()
            with pytest.raises(asyncio.CancelledError) as error:
                await task
            assert error.value.__notes__ == ['while undoing: plugin type="b" failed (delete): no']

    asyncio.run(session())


def test_program_is_killed(tmp_path: Path) -> None:
    """A plugin's program does not outlive the task that it was run for."""
    fifo = tmp_path / "pid"
    os.mkfifo(fifo)
    program = tmp_path / "sleeper"
    program.write_text(f"#!/bin/sh\necho $$ > {fifo}\nexec sleep 100\n")
    program.chmod(0o755)
    net = conf_list_from_bytes(json.dumps(conf_list("sleeper")).encode())
    with AsyncCNIConfig(CNIConfig(str(tmp_path), ProcessExec(), str(tmp_path))) as cni:

        async def session() -> int:
            task = asyncio.create_task(cni.add_network_list(net, RT))
            pid = await asyncio.to_thread(fifo.read_text)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            return int(pid)

        pid = asyncio.run(session())
    assert not (tmp_path / "results" / "net-c1-eth0").exists()
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)
