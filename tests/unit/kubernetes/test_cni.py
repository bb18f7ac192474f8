"""cni without a kernel: the network of a directory, and what plugins are told of pods."""

from __future__ import annotations

import json
import shutil
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from cnifast.kubernetes import (
    NET_PLUGIN_EVENT_POD_CIDR_CHANGE,
    NET_PLUGIN_EVENT_POD_CIDR_CHANGE_DETAIL_CIDR,
    CNINetworkPlugin,
    DNSConfig,
    NetworkPluginError,
    PortMapping,
)
from helpers.kubelet import SECONDS, FakeExec, FakeHost, Threads

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

EVERYTHING = ("portMappings", "bandwidth", "ipRanges", "dns", "mac")


def chain(name: str, *types: str, capabilities: tuple[str, ...] = ()) -> str:
    """Return the configuration of a network whose first plugin has capabilities."""
    plugins: list[dict[str, Any]] = [{"type": type_} for type_ in types]
    if capabilities:
        plugins[0]["capabilities"] = dict.fromkeys(capabilities, True)
    return json.dumps({"cniVersion": "1.0.0", "name": name, "plugins": plugins})


class Setup:
    """A plugin on a directory, with a host and plugins that write down what is asked of them."""

    def __init__(self, tmp_path: Path) -> None:
        self.dir = tmp_path / "net.d"
        self.dir.mkdir()
        self.cache = tmp_path / "cache"
        self.host = FakeHost("c1", "c2")
        self.exec = FakeExec("missing")
        self._noticed = threading.Condition()
        self.plugins: list[CNINetworkPlugin] = []
        self.plugin = self.again()

    def again(self) -> CNINetworkPlugin:
        """Return another plugin on the same node, as after a restart."""
        self.plugins.append(
            CNINetworkPlugin(str(self.dir), ["/bin"], self.exec, str(self.cache), self._notice)
        )
        return self.plugins[-1]

    def _notice(self) -> None:
        with self._noticed:
            self._noticed.notify_all()

    def init(self) -> None:
        """Initialise the plugin."""
        self.plugin.init(self.host, "none", "10.0.0.0/8", 0)

    def ready(self, *types: str, capabilities: tuple[str, ...] = ()) -> None:
        """Initialise the plugin on a network of these plugins."""
        (self.dir / "10-net.conflist").write_text(chain("net", *types, capabilities=capabilities))
        self.init()

    def state(self) -> str:
        """Return the network's name, or why there is none."""
        try:
            self.plugin.status()
        except NetworkPluginError as e:
            return str(e)
        return self.plugin._require_network().name

    def until(self, wanted: Callable[[str], bool]) -> None:
        """Wait until the plugin has noticed that the state is as wanted."""
        with self._noticed:
            assert self._noticed.wait_for(lambda: wanted(self.state()), SECONDS), self.state()

    def event(self, cidr: object) -> None:
        """Tell of the node's pod CIDRs."""
        self.plugin.event(
            NET_PLUGIN_EVENT_POD_CIDR_CHANGE, {NET_PLUGIN_EVENT_POD_CIDR_CHANGE_DETAIL_CIDR: cidr}
        )

    def up(self, id_: str = "c1", annotations: Mapping[str, str] | None = None) -> None:
        """Set up a pod."""
        self.plugin.set_up_pod("default", f"pod-{id_}", id_, annotations or {})

    def down(self, id_: str = "c1") -> None:
        """Tear down a pod."""
        self.plugin.tear_down_pod("default", f"pod-{id_}", id_)


@pytest.fixture
def cni(tmp_path: Path) -> Iterator[Setup]:
    """A plugin on an empty directory, not initialised."""
    setup = Setup(tmp_path)
    yield setup
    for plugin in setup.plugins:
        plugin.close()


# -- the network of a directory --------------------------------------------------------------------


def test_there_is_no_network(cni: Setup) -> None:
    """Without a configuration status and set-up fail and say where they looked."""
    cni.init()
    assert cni.state() == f"cni has no network: no networks found in {cni.dir}"
    with pytest.raises(NetworkPluginError, match="set up pod default/pod-c1: cni has no network"):
        cni.up()
    assert cni.exec.calls == []


def test_before_it_is_initialised(cni: Setup) -> None:
    """The directory is read when the plugin is initialised, not before."""
    (cni.dir / "1.conflist").write_text(chain("one", "bridge"))
    assert "has not been read yet" in cni.state()
    cni.init()
    assert cni.state() == "one"


def test_the_first_network_that_can_be_used(cni: Setup) -> None:
    """Files count in the order of their names, whatever their form, if all plugins are there."""
    (cni.dir / "00.conflist").write_text("{")
    (cni.dir / "10.conflist").write_text(chain("lacking", "bridge", "missing"))
    (cni.dir / "20.conf").write_text(json.dumps({"name": "list", "plugins": []}))
    (cni.dir / "25.yaml").write_text(chain("yaml", "bridge"))
    (cni.dir / "30.json").write_text(
        json.dumps({"cniVersion": "0.2.0", "name": "old", "type": "bridge"})
    )
    (cni.dir / "40.conflist").write_text(chain("late", "bridge"))
    cni.init()
    assert cni.state() == "old"


def test_all_faults_are_named(cni: Setup) -> None:
    """When no network can be used, the status says of each file what is wrong with it."""
    (cni.dir / "1.conflist").write_text("{")
    (cni.dir / "2.conflist").write_text(chain("net", "missing"))
    cni.init()
    state = cni.state()
    assert f"no valid networks found in {cni.dir}: {cni.dir}/1.conflist: " in state
    assert f'{cni.dir}/2.conflist: failed to find plugin "missing" in path [/bin]' in state


def test_changes_are_noticed(cni: Setup) -> None:
    """A network that comes, changes and goes is noticed at once, without anybody asking."""
    cni.init()
    (cni.dir / "2.conflist").write_text(chain("two", "bridge"))
    cni.until("two".__eq__)
    (cni.dir / "1.conflist").write_text(chain("one", "bridge"))
    cni.until("one".__eq__)
    (cni.dir / "1.conflist").write_text("")
    cni.until("two".__eq__)
    (cni.dir / "2.conflist").unlink()
    cni.until(lambda state: "no valid networks found" in state)
    (cni.dir / "1.conflist").unlink()
    cni.until(lambda state: "no networks found" in state)


def test_a_directory_that_goes_and_comes_back(cni: Setup) -> None:
    """The directory may be removed and made again any number of times."""
    cni.init()
    for name in ("one", "two", "three"):
        cni.dir.mkdir(exist_ok=True)
        (cni.dir / "1.conflist").write_text(chain(name, "bridge"))
        cni.until(name.__eq__)
        shutil.rmtree(cni.dir)
        cni.until(lambda state: "no networks found" in state)


def test_a_directory_that_is_not_there_yet(cni: Setup) -> None:
    """The directory may be made, with all above it, after the plugin is initialised."""
    shutil.rmtree(cni.dir)
    cni.dir = cni.dir.parent / "etc" / "cni" / "net.d"
    cni.plugin = cni.again()
    cni.init()
    assert cni.state() == f"cni has no network: no networks found in {cni.dir}"
    cni.dir.mkdir(parents=True)
    (cni.dir / "1.conflist").write_text(chain("one", "bridge"))
    cni.until("one".__eq__)


def test_changes_behind_links_are_noticed(cni: Setup) -> None:
    """A network in a file that a link leads to may be put in order there."""
    elsewhere = cni.dir.parent / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "real").write_text("{")
    (cni.dir / "1.conflist").symlink_to("../elsewhere/real")
    cni.init()
    assert "no valid networks found" in cni.state()
    (elsewhere / "real").write_text(chain("one", "bridge"))
    cni.until("one".__eq__)
    (elsewhere / "next").write_text(chain("two", "bridge"))
    (elsewhere / "next").rename(elsewhere / "real")
    cni.until("two".__eq__)
    shutil.rmtree(elsewhere)
    cni.until(lambda state: "no valid networks found" in state)


def test_a_watch_that_failed(cni: Setup) -> None:
    """When changes are not noticed any more, the directory is read whenever status is asked."""
    cni.init()
    watch = cni.plugin._watch
    assert watch is not None
    watch.close()
    (cni.dir / "1.conflist").write_text(chain("one", "bridge"))
    assert "no networks found" in cni.state()
    watch.failed = True
    assert cni.state() == "one"


def test_name_and_capabilities(cni: Setup) -> None:
    """The plugin is called cni and has no capabilities of its own."""
    assert cni.plugin.name() == "cni"
    assert cni.plugin.capabilities() == frozenset()


# -- pods ------------------------------------------------------------------------------------------


def test_loopback_first(cni: Setup) -> None:
    """A pod's lo is set up before eth0, and torn down after it, with its chain in reverse order."""
    cni.ready("bridge", "tuning")
    cni.up()
    assert [(c.command, c.plugin, c.ifname) for c in cni.exec.calls] == [
        ("ADD", "loopback", "lo"),
        ("ADD", "bridge", "eth0"),
        ("ADD", "tuning", "eth0"),
    ]
    cni.exec.calls.clear()
    cni.down()
    assert [(c.command, c.plugin, c.ifname) for c in cni.exec.calls] == [
        ("DEL", "tuning", "eth0"),
        ("DEL", "bridge", "eth0"),
        ("DEL", "loopback", "lo"),
    ]


def test_whose_pod_it_is(cni: Setup) -> None:
    """Plugins are told namespace and name of the pod, and its sandbox."""
    cni.ready("bridge")
    cni.up()
    assert cni.exec.calls[1].args == (
        "IgnoreUnknown=1;K8S_POD_NAMESPACE=default;K8S_POD_NAME=pod-c1;"
        "K8S_POD_INFRA_CONTAINER_ID=c1"
    )


def test_capabilities(cni: Setup) -> None:
    """A plugin gets what it has capabilities for: ports, bandwidth, ranges, DNS and MAC."""
    cni.ready("bridge", capabilities=EVERYTHING)
    cni.event("10.244.1.0/24,fd00::/64")
    cni.host.ports["c1"] = [PortMapping(8080, 80, "SCTP"), PortMapping(0, 1)]
    cni.host.dns["c1"] = DNSConfig(["10.96.0.10"], ["default.svc.cluster.local"])
    cni.host.mac["c1"] = "02:00:00:00:00:05"
    cni.up("c1", {"kubernetes.io/egress-bandwidth": "1M"})
    expected = {
        "portMappings": [{"hostPort": 8080, "containerPort": 80, "protocol": "sctp", "hostIP": ""}],
        "bandwidth": {"egressRate": 1_000_000, "egressBurst": 2**31 - 1},
        "ipRanges": [[{"subnet": "10.244.1.0/24"}], [{"subnet": "fd00::/64"}]],
        "dns": {"servers": ["10.96.0.10"], "searches": ["default.svc.cluster.local"]},
        "mac": "02:00:00:00:00:05",
    }
    assert cni.exec.calls[1].runtime_config == expected
    assert cni.exec.calls[0].runtime_config is None
    cni.host.ports.clear()
    cni.exec.calls.clear()
    cni.down()
    assert cni.exec.calls[0].runtime_config == expected


def test_nothing_to_say(cni: Setup) -> None:
    """A pod that wants nothing in particular has no capability arguments."""
    cni.ready("bridge", capabilities=("portMappings", "bandwidth", "dns", "mac"))
    cni.up()
    assert cni.exec.calls[1].runtime_config is None


def test_capabilities_that_are_not_declared(cni: Setup) -> None:
    """A plugin without a capability does not get its argument."""
    cni.ready("bridge", capabilities=("mac",))
    cni.host.mac["c1"] = "02:00:00:00:00:05"
    cni.host.ports["c1"] = [PortMapping(8080, 80)]
    cni.up()
    assert cni.exec.calls[1].runtime_config == {"mac": "02:00:00:00:00:05"}


def test_a_network_that_needs_the_pod_cidr(cni: Setup) -> None:
    """With the capability ipRanges nothing can be set up before the node's pod CIDR is known."""
    cni.ready("bridge", capabilities=("ipRanges",))
    assert cni.state() == ("network net needs ipRanges, but the node's pod CIDR is not known yet")
    with pytest.raises(NetworkPluginError, match="needs ipRanges"):
        cni.up()
    for useless in (None, 5, "", "10.244.1.0"):
        cni.event(useless)
    cni.plugin.event("something-else", {NET_PLUGIN_EVENT_POD_CIDR_CHANGE_DETAIL_CIDR: "10.0.0.0/8"})
    assert "needs ipRanges" in cni.state()
    cni.event("10.244.1.0/24")
    assert cni.state() == "net"
    cni.event("10.244.2.0/24")
    cni.up()
    assert cni.exec.calls[1].runtime_config == {"ipRanges": [[{"subnet": "10.244.2.0/24"}]]}


def test_a_failed_set_up_leaves_nothing(cni: Setup) -> None:
    """When a plugin fails, those before it are undone, and so is lo."""
    cni.ready("bridge", "tuning")
    cni.exec.fail("ADD", "tuning", "nothing doing")
    with pytest.raises(NetworkPluginError, match=r"set up pod default/pod-c1: .*nothing doing"):
        cni.up()
    assert cni.exec.made("DEL") == [("DEL", "bridge", "c1"), ("DEL", "loopback", "c1")]
    assert list(Path(cni.cache, "results").iterdir()) == []
    cni.up()


def test_a_sandbox_is_set_up_once(cni: Setup) -> None:
    """A second set-up is refused and leaves the first as it is."""
    cni.ready("bridge")
    cni.up()
    cni.exec.calls.clear()
    with pytest.raises(NetworkPluginError, match="sandbox c1 has been set up already"):
        cni.up()
    assert cni.exec.calls == []


def test_a_sandbox_of_another_network_is_not_set_up(cni: Setup) -> None:
    """A sandbox that is on a network is refused, also when another one is in use by now."""
    cni.ready("bridge")
    cni.up()
    (cni.dir / "00-other.conflist").write_text(chain("other", "macvlan"))
    cni.plugin = cni.again()
    cni.init()
    cni.exec.calls.clear()
    with pytest.raises(NetworkPluginError, match="sandbox c1 has been set up already"):
        cni.up()
    assert cni.exec.calls == []
    cni.down()
    assert cni.exec.made() == [("DEL", "bridge", "c1"), ("DEL", "loopback", "c1")]


def test_lo_stays_where_it_was_before(cni: Setup) -> None:
    """A set-up that fails leaves lo alone when it did not come with it."""
    cni.ready("bridge")
    cni.up()
    results = cni.cache / "results"
    (results / "net-c1-eth0").write_text("{")  # counts as none
    kept = sorted(results.iterdir())
    cni.exec.fail("ADD", "bridge", "eth0 is there already")
    cni.exec.calls.clear()
    with pytest.raises(NetworkPluginError, match="eth0 is there already"):
        cni.up()
    assert cni.exec.made("DEL") == []
    assert sorted(results.iterdir()) == kept


def test_a_sandbox_without_a_namespace(cni: Setup) -> None:
    """Setting up needs a namespace, tearing down does not."""
    cni.ready("bridge")
    cni.up()
    cni.host.netns.clear()
    with pytest.raises(NetworkPluginError, match="no network namespace: there is no sandbox c2"):
        cni.up("c2")
    cni.exec.calls.clear()
    cni.down()
    assert [(c.plugin, c.netns) for c in cni.exec.calls] == [("bridge", ""), ("loopback", "")]


def test_a_pod_leaves_the_network_it_was_on(cni: Setup) -> None:
    """A pod is detached from its own network, when another one is in use or none any more."""
    cni.ready("bridge")
    cni.up("c1")
    cni.up("c2")
    (cni.dir / "00-other.conflist").write_text(chain("other", "macvlan"))
    cni.until("other".__eq__)
    cni.exec.calls.clear()
    cni.down("c1")
    assert cni.exec.made() == [("DEL", "bridge", "c1"), ("DEL", "loopback", "c1")]
    shutil.rmtree(cni.dir)
    cni.until(lambda state: "no networks" in state)
    cni.down("c2")
    assert cni.exec.made() == [("DEL", "bridge", "c2"), ("DEL", "loopback", "c2")]


@pytest.mark.parametrize("network", ["net", "other", ""])
def test_after_a_restart(cni: Setup, network: str) -> None:
    """A pod of an earlier process is detached by what libcni kept, whatever is in use by now."""
    cni.ready("bridge", capabilities=("mac",))
    cni.host.mac["c1"] = "02:00:00:00:00:05"
    cni.up()
    cni.host.mac.clear()
    if network != "net":
        (cni.dir / "10-net.conflist").unlink()
    if network == "other":
        (cni.dir / "00-other.conflist").write_text(chain("other", "macvlan"))
    cni.plugin = cni.again()
    cni.init()
    cni.exec.calls.clear()
    cni.down()
    made = cni.exec.calls[0]
    assert (made.plugin, made.runtime_config) == ("bridge", {"mac": "02:00:00:00:00:05"})
    assert "K8S_POD_NAME=pod-c1" in made.args


def test_tearing_down_what_was_never_set_up(cni: Setup) -> None:
    """A sandbox without records is detached from the network in use."""
    cni.ready("bridge", capabilities=("portMappings",))
    cni.host.ports["c1"] = [PortMapping(8080, 80)]
    cni.down()
    assert cni.exec.calls[0].short == ("DEL", "bridge", "c1")
    assert cni.exec.calls[0].runtime_config["portMappings"][0]["hostPort"] == 8080


def test_tearing_down_again_without_a_network(cni: Setup) -> None:
    """Where neither a record nor a network is left, there is nothing to do."""
    cni.ready("bridge")
    cni.up()
    shutil.rmtree(cni.dir)
    cni.until(lambda state: "no networks" in state)
    cni.down()
    cni.exec.calls.clear()
    cni.down()
    cni.down("c9")
    cni.plugin = cni.again()
    cni.init()
    cni.down()
    assert cni.exec.calls == []


def test_tearing_down_before_the_pod_cidr_is_known(cni: Setup) -> None:
    """A network that still waits for the pod CIDR counts as none."""
    cni.ready("bridge", capabilities=("ipRanges",))
    cni.down()
    assert cni.exec.calls == []


def test_lo_is_torn_down_without_a_network(cni: Setup) -> None:
    """A sandbox that only ever got its lo is rid of that, whether there is a network or not."""
    cni.ready("bridge")
    cni.up()
    shutil.rmtree(cni.dir)
    (cni.cache / "results" / "net-c1-eth0").unlink()
    cni.plugin = cni.again()
    cni.init()
    cni.exec.calls.clear()
    cni.down()
    cni.down()
    assert cni.exec.made() == [("DEL", "loopback", "c1")]
    assert list((cni.cache / "results").iterdir()) == []


def test_a_record_that_makes_no_sense_and_no_network(cni: Setup) -> None:
    """Where a pod is recorded but there is no telling how to detach it, tearing down fails."""
    cni.ready("bridge")
    cni.up()
    record = cni.cache / "results" / "net-c1-eth0"
    entry = json.loads(record.read_text())
    record.write_text(json.dumps({**entry, "config": ""}))
    shutil.rmtree(cni.dir)
    cni.plugin = cni.again()
    cni.init()
    with pytest.raises(NetworkPluginError, match="network that sandbox c1 was attached to is not"):
        cni.down()


def test_a_failed_tear_down_can_be_repeated(cni: Setup) -> None:
    """A failure is reported; the next attempt does all of it again."""
    cni.ready("bridge")
    cni.up()
    cni.exec.calls.clear()
    cni.exec.fail("DEL", "bridge", "busy")
    with pytest.raises(NetworkPluginError, match=r"tear down pod default/pod-c1: .*busy"):
        cni.down()
    cni.down()
    assert cni.exec.made() == [("DEL", "bridge", "c1"), ("DEL", "loopback", "c1")] * 2


def test_one_call_at_a_time_for_a_pod(cni: Setup) -> None:
    """Tearing a pod down waits until it is set up; other pods go on meanwhile."""
    cni.ready("bridge")
    held = cni.exec.hold("ADD", "bridge", "c1")
    with Threads() as threads:
        threads.start(cni.up)
        held.when_begun()
        threads.start(cni.down)
        cni.up("c2")
        held.go_on.set()
    assert [c[0] for c in cni.exec.made() if c[2] == "c1"] == ["ADD", "ADD", "DEL", "DEL"]


def test_no_addresses_without_a_sandbox(cni: Setup) -> None:
    """The status of a sandbox that is not there is an error that names the pod."""
    cni.ready("bridge")
    with pytest.raises(NetworkPluginError, match="addresses of pod default/pod-c9: no network nam"):
        cni.plugin.get_pod_network_status("default", "pod-c9", "c9")
