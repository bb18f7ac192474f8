"""The choice of a network plugin by name, and what is wrong with names."""

from __future__ import annotations

import pytest

from cnifast.kubernetes import (
    CNINetworkPlugin,
    KubenetNetworkPlugin,
    NetworkPluginError,
    NoopNetworkPlugin,
    init_network_plugin,
)
from helpers.kubelet import FakeBridge, FakeHost


class Named(NoopNetworkPlugin):
    """A plugin that has a name and writes down how it is initialised."""

    def __init__(self, name: str, fault: Exception | None = None) -> None:
        self._name = name
        self._fault = fault
        self.given: list[tuple[object, ...]] = []

    def name(self) -> str:
        """Return the name."""
        return self._name

    def init(self, *given: object) -> None:
        """Write down the arguments."""
        self.given.append(given)
        if self._fault:
            raise self._fault


def test_the_plugin_of_the_name_is_initialised() -> None:
    """The plugin of the name is initialised once with all arguments, the others are not."""
    host = FakeHost()
    plugins = [Named("a"), Named("example.com/b")]
    chosen = init_network_plugin(plugins, "example.com/b", host, "hairpin-veth", "10.0.0.0/8", 1300)
    assert chosen is plugins[1]
    assert plugins[1].given == [(host, "hairpin-veth", "10.0.0.0/8", 1300)]
    assert plugins[0].given == []


def test_an_unknown_name_is_refused() -> None:
    """A name that no plugin has is an error that names those there are; nothing is initialised."""
    plugin = Named("a")
    with pytest.raises(NetworkPluginError, match='network plugin "b" not found: there are a'):
        init_network_plugin([plugin], "b", FakeHost())
    with pytest.raises(NetworkPluginError, match='network plugin "b" not found: there are none'):
        init_network_plugin([], "b", FakeHost())
    assert plugin.given == []


def test_a_name_that_is_there_twice_is_refused() -> None:
    """Two plugins of one name are an error, whichever is asked for; nothing is initialised."""
    plugins = [Named("a"), Named("a"), Named("b")]
    for name in ("a", "b"):
        with pytest.raises(NetworkPluginError, match='"a" was registered more than once'):
            init_network_plugin(plugins, name, FakeHost())
    assert [plugin.given for plugin in plugins] == [[], [], []]


@pytest.mark.parametrize(
    "name",
    ["", "a b", "-a", "a-", "a/b/c", "/a", "UPPER.example/a", "ex..ample/a", "a" * 64, "é"],
)
def test_a_name_that_is_not_qualified_is_refused(name: str) -> None:
    """A name must be a word, or a word behind a DNS name."""
    with pytest.raises(NetworkPluginError, match="network plugin has invalid name"):
        init_network_plugin([Named(name), Named("b")], "b", FakeHost())


def test_all_faults_are_named() -> None:
    """One error says everything that is wrong."""
    with pytest.raises(NetworkPluginError) as caught:
        init_network_plugin([Named("a"), Named("a"), Named("!")], "b", FakeHost())
    assert str(caught.value) == (
        'network plugin "a" was registered more than once; '
        'network plugin has invalid name "!"; network plugin "b" not found: there are a'
    )


@pytest.mark.parametrize("fault", [NetworkPluginError("no network"), OSError("no network")])
def test_a_plugin_that_fails_to_initialise_is_named(fault: Exception) -> None:
    """The error of `init` says whose it is."""
    with pytest.raises(NetworkPluginError, match='"a" failed to initialise: no network'):
        init_network_plugin([Named("a", fault)], "a", FakeHost())


def test_the_names_of_our_plugins() -> None:
    """Ours are called kubenet and cni, and may be registered together."""
    plugins = [KubenetNetworkPlugin(bridge=FakeBridge()), CNINetworkPlugin()]
    assert [plugin.name() for plugin in plugins] == ["kubenet", "cni"]
    assert init_network_plugin(plugins, "kubenet", FakeHost()) is plugins[0]
