"""Threads, tasks and namespaces of programs that attach networks in their own process."""

from __future__ import annotations

import asyncio
import os
import threading
import time
from typing import TYPE_CHECKING, Any

import pytest

from cnifast.libcni import AsyncCNIConfig, CNIConfig, InProcessExec, RuntimeConf
from cnifast.protocol.errors import CNIError
from helpers import nsutil
from helpers.networks import BRIDGE, Nothing, network, taken
from helpers.node import open_node

if TYPE_CHECKING:
    from helpers.node import Node


def test_the_namespace_is_that_of_the_calling_thread(plugin_directory: str) -> None:
    """What is kept open belongs to the namespace it was opened in; another one gets its own."""
    net = network(BRIDGE)
    with InProcessExec(Nothing()) as ours:
        cni = CNIConfig(plugin_directory, ours)
        for _ in range(2):
            node = open_node()
            try:
                pod = node.new_container()
                rt = RuntimeConf(pod.name, pod.path)
                cni.add_network_list(net, rt)
                assert "cni0" in node.link_names()
                assert "eth0" in node.link_names(pod)
                cni.del_network_list(net, rt)
            finally:
                node.close()


def test_nothing_is_held(node: Node) -> None:
    """Calls leave no descriptor open but those that are kept for the next ones, until close."""
    pod = node.new_container()
    net, rt = network(BRIDGE), RuntimeConf(pod.name, pod.path)

    def descriptors() -> int:
        return len(os.listdir("/proc/self/fd"))

    with InProcessExec(Nothing()) as ours:
        cni = CNIConfig("/nowhere", ours)
        cni.add_network_list(net, rt)
        cni.del_network_list(net, rt)
        kept = descriptors()
        for _ in range(20):
            cni.add_network_list(net, rt)
            cni.del_network_list(net, rt)
            with pytest.raises(CNIError):
                cni.add_network_list(network({**BRIDGE, "mtu": -1}), rt)
        deadline = time.monotonic() + 10  # the kernel takes its time for links that are gone
        while descriptors() > kept and time.monotonic() < deadline:
            time.sleep(0.01)
        assert descriptors() <= kept
        ours.close()
        assert descriptors() < kept
        cni.add_network_list(net, rt)
        cni.del_network_list(net, rt)
    node.remove_container(pod)


def test_many_at_a_time(node: Node, plugin_directory: str) -> None:
    """Threads attach and detach on one object; every container has an address of its own."""
    net = network(BRIDGE, {"type": "loopback"})
    pods = [node.new_container(f"pod{number}") for number in range(24)]
    results: dict[str, str] = {}
    failed: list[BaseException] = []

    def work(mine: list[Any], cni: CNIConfig, home: int) -> None:
        nsutil.setns(home)
        try:
            for pod in mine:
                rt = RuntimeConf(pod.name, pod.path)
                results[pod.name] = cni.add_network_list(net, rt).ips[0].address
                cni.check_network_list(net, rt)
        except BaseException as e:  # noqa: BLE001 - told to the test
            failed.append(e)

    with InProcessExec(Nothing()) as ours:
        cni = CNIConfig(plugin_directory, ours)
        threads = [
            threading.Thread(target=work, args=(pods[start::6], cni, node.fd)) for start in range(6)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert failed == []
        assert len(set(results.values())) == len(pods)
        for pod in pods:
            cni.del_network_list(net, RuntimeConf(pod.name, pod.path))
    assert node.strays() == []
    assert taken() == []


def test_asyncio(node: Node) -> None:
    """Tasks attach and detach at the same time, without a program."""
    net = network(BRIDGE)
    pods = [node.new_container(f"pod{number}") for number in range(8)]

    async def session(cni: AsyncCNIConfig) -> set[str]:
        rts = [RuntimeConf(pod.name, pod.path) for pod in pods]
        results = await asyncio.gather(*(cni.add_network_list(net, rt) for rt in rts))
        await asyncio.gather(*(cni.del_network_list(net, rt) for rt in rts))
        return {result.ips[0].address for result in results}

    with InProcessExec(Nothing()) as ours, AsyncCNIConfig(CNIConfig("/nowhere", ours)) as cni:
        assert len(asyncio.run(session(cni))) == len(pods)
    assert node.strays() == []
    assert taken() == []
