"""`cnifast add|del|check|gc|status`: networks by name, with cnitool's arguments and environment.

A service does all of it for the program (`cnifast.cli.handed`).  What it leaves to a process has to
be no slower than what it stands beside, so little is imported, and plugins are executed where a
service answers them: that is faster than importing them here.
"""

from __future__ import annotations

import os
import sys
from itertools import compress

from cnifast.cli.interrupt import ENDING, EXIT_SIGNAL, GRACE, SIGNALS, Interrupted, with_notes
from cnifast.cli.run_plugins import Plugins, was_killed
from cnifast.invoke.options import attachment, seconds
from cnifast.libcni import cache
from cnifast.libcni.api import CNIConfig
from cnifast.libcni.conf import ConfigError, RuntimeConf
from cnifast.libcni.files import load_all, load_network_conf
from cnifast.protocol.codec import DecodeError, loads, quote
from cnifast.protocol.errors import INVALID_ENVIRONMENT, INVALID_NETWORK_CONFIG, CNIError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Container, Iterable, Mapping, Sequence
    from typing import Any

    from cnifast.cli.interrupt import Ending
    from cnifast.invoke.call import Exec
    from cnifast.libcni.cached import CachedAttachment
    from cnifast.libcni.conf import NetworkConfigList
    from cnifast.protocol.result import Result

NETDIR = "/etc/cni/net.d"
PLUGINS = "/opt/cni/bin"
IFNAME = "eth0"
LOOPBACK = "loopback"
EXIT_USAGE = 2

_OF_CONTAINERS = ("add", "del", "check")
_ALL = (*_OF_CONTAINERS, "gc", "status")
_FLAGS = {"--all": _OF_CONTAINERS, "--none-valid": ("gc",)}  # and the commands that have them
_VALUED = {
    "-i": _ALL,
    "--ifname": _ALL,
    "--container-id": _OF_CONTAINERS,
    "--timeout": _ALL,
    "--valid": ("gc",),
}

USAGE = """\
usage: cnifast add|del|check NETWORK NETNS    attach, detach or check a container's namespace
       cnifast add|del|check --all NETNS      the same for all networks, in lexical order of files
       cnifast gc NETWORK [NETNS] --valid ID/IFNAME ... | --none-valid
                                              release what belongs to no valid attachment
       cnifast status NETWORK [NETNS]         say whether an attachment would be possible now

  -i, --ifname NAME     interface in the container (default: $CNI_IFNAME, else eth0)
  --container-id ID     of the container (default: made from NETNS, as cnitool does)
  --timeout SECONDS     kill a plugin's program that takes longer (default: wait for it)
  --valid ID/IFNAME     of gc, any number of times: an attachment that stays
  --none-valid          of gc: none stays; everything of the network is detached

  NETCONFPATH   directory of .conflist, .conf and .json files (default: /etc/cni/net.d)
  CNI_PATH      directories of plugins (default: /opt/cni/bin)
  CAP_ARGS      JSON object of capability arguments, such as {"mac": "02:00:00:00:00:01"}
  CNI_ARGS      arguments of plugins, such as IP=10.1.2.3;IgnoreUnknown=1
"""


class HelpWanted(Exception):  # noqa: N818 - what is wanted is no error
    """The command line asks how it is to be written."""


class UsageError(Exception):
    """The command line has no meaning; the text says why."""


class Options:
    """What the command line says."""

    __slots__ = (
        *("all", "container_id", "ifname", "netns", "network", "none_valid", "timeout", "valid"),
    )

    def __init__(self) -> None:
        self.all = False
        self.container_id = ""
        self.ifname = ""
        self.netns = ""
        self.network = ""
        self.none_valid = False
        self.timeout: float | None = None
        self.valid: list[tuple[str, str]] = []


class Caller:
    """Whoever gives a command: what its environment says, and how it ends the command.

    Args:
        env: the environment.
        exec_: how plugins are run.
        ending: the signals that end the command.
    """

    __slots__ = ("cni", "ending", "env")

    def __init__(self, env: Mapping[str, str], exec_: Exec, ending: Ending) -> None:
        self.env = env
        self.ending = ending
        self.cni = CNIConfig(plugin_path(env), exec_)

    def meant(self, nets: list[NetworkConfigList]) -> list[NetworkConfigList]:
        """Return the networks that a command is about, before anything is done with them."""
        return nets


def main(command: str, arguments: Sequence[str]) -> int:
    """Run a command; return the exit status."""
    SIGNALS.grace = GRACE
    try:
        options = parse(command, arguments)
        plugins = Plugins(exits=True, timeout=options.timeout)
        try:
            _print(run(command, options, Caller(os.environ, plugins.exec, SIGNALS)))
        finally:
            plugins.leave_service()
    except HelpWanted:
        _print(USAGE)
    except (UsageError, CNIError) as e:
        text, status = failure(command, e, SIGNALS)
        sys.stderr.write(text)
        return status
    return 0


def _print(text: str) -> None:
    """Write to standard output.

    Raises:
        OSError: it cannot be written.
    """
    try:
        sys.stdout.write(text)
        sys.stdout.flush()
    except BrokenPipeError:
        raise
    except OSError as e:
        raise OSError(f"cannot print: {e.strerror}") from e


def run(command: str, options: Options, caller: Caller) -> str:
    """Do what a command says; return what is to be printed.

    Raises:
        CNIError: it failed.
        Interrupted: it was ended; all is undone.
        RunCold: it has to be done in a process of the caller's own.
    """
    return _COMMANDS[command](caller, options)


def failure(command: str, e: UsageError | CNIError, ending: Ending) -> tuple[str, int]:
    """Return what to say of a failure, and the exit status."""
    if isinstance(e, UsageError):
        return f"cnifast {command}: {e}\n{USAGE}", EXIT_USAGE
    if ending.number:
        said = f"interrupted by {ENDING[ending.number]}: {describe(e)}"
        return f"cnifast {command}: {said}\n", EXIT_SIGNAL + ending.number
    return f"cnifast {command}: {describe(e)}\n", 1


def describe(e: CNIError) -> str:
    """Return an error as one line, with what failed when it was undone."""
    return f"{with_notes(e)} (code {e.code})"


def command_first(arguments: Sequence[str]) -> list[str]:
    """Return a command line of which the options may come before the command."""
    at = 0
    while at < len(arguments):
        name, joined, _ = _split(arguments[at])
        if arguments[at] in _FLAGS or (name in _VALUED and joined):
            at += 1
        elif name in _VALUED:
            at += 2
        else:
            break
    if arguments[at : at + 1] and arguments[at] in _COMMANDS:
        return [arguments[at], *arguments[:at], *arguments[at + 1 :]]
    return [*arguments]


def _split(word: str) -> tuple[str, str, str]:
    """Return an option, what joins its value to it, and the value; both are empty without one."""
    if word.startswith("-i"):
        return "-i", word[2:], word[2:].removeprefix("=")
    return word.partition("=")


def parse(command: str, arguments: Sequence[str]) -> Options:
    """Return what the command line says.

    Raises:
        HelpWanted: it asks for help.
        UsageError: it has no meaning.
    """
    if "-h" in arguments or "--help" in arguments:
        raise HelpWanted
    if command not in _COMMANDS:
        raise UsageError("there is no such command")
    options = Options()
    words: list[str] = []
    left = list(arguments)
    while left:
        word = left.pop(0)
        if not word.startswith("-"):
            words.append(word)
            continue
        if command in _FLAGS.get(word, ()):
            options.all |= word == "--all"
            options.none_valid |= word == "--none-valid"
            continue
        name, joined, value = _split(word)
        if command not in _VALUED.get(name, ()):
            raise UsageError(f"there is no option {word}")
        if not joined:
            if not left:
                raise UsageError(f"option {word} needs a value")
            value = left.pop(0)
        try:
            _take(options, name, value)
        except ValueError as e:
            raise UsageError(f"option {name}: {e}") from None
    _place(command, options, words)
    if command == "gc" and options.none_valid == bool(options.valid):
        raise UsageError(
            "what stays? one --valid ID/IFNAME for each attachment that is in use, or --none-valid"
        )
    return options


def _take(options: Options, name: str, value: str) -> None:
    """Take an option with a value.

    Raises:
        ValueError: the value is none for it.
    """
    if name == "--container-id":
        options.container_id = value
    elif name == "--timeout":
        options.timeout = seconds(value)
    elif name == "--valid":
        options.valid.append(attachment(value))
    else:
        options.ifname = value


def _place(command: str, options: Options, words: Sequence[str]) -> None:
    """Take the words that are no options."""
    if options.all:
        if len(words) != 1:
            raise UsageError("--all takes a namespace and no network")
        if options.ifname:
            raise UsageError("--all gives interfaces their names: no --ifname")
        words = ["", *words]
    needed = 2 if command in _OF_CONTAINERS else 1
    if not needed <= len(words) <= 2:
        raise UsageError("network and namespace are needed" if needed == 2 else "which network?")
    options.network, options.netns = [*words, ""][:2]
    if needed == 2 and not options.netns:
        raise UsageError("the path of the namespace is empty")
    if needed == 1 and options.netns and not options.netns.startswith("/"):
        hint = "; each attachment in use takes a --valid of its own" if command == "gc" else ""
        raise UsageError(f"{options.netns} is no path of a namespace{hint}")


# -- what the environment says ---------------------------------------------------------------------


def netdir(env: Mapping[str, str]) -> str:
    """Return the directory of configurations."""
    return env.get("NETCONFPATH") or NETDIR


def plugin_path(env: Mapping[str, str]) -> str:
    """Return the directories of plugins."""
    return env.get("CNI_PATH") or PLUGINS


def capability_args(env: Mapping[str, str]) -> dict[str, Any]:
    """Return the capability arguments.

    Raises:
        CNIError: they are no JSON object.
    """
    text = env.get("CAP_ARGS", "")
    if not text:
        return {}
    try:
        found = loads(text.encode("utf-8", "surrogateescape"))
    except DecodeError as e:
        raise CNIError(INVALID_ENVIRONMENT, f"CAP_ARGS: {e}") from None
    if found is None:
        return {}
    if type(found) is not dict:
        raise CNIError(INVALID_ENVIRONMENT, "CAP_ARGS: not a JSON object")
    return found


def cni_args(env: Mapping[str, str]) -> list[tuple[str, str]]:
    """Return the arguments of plugins.

    Raises:
        CNIError: they are not pairs.
    """
    text = env.get("CNI_ARGS", "")
    pairs = []
    for pair in text.split(";") if text else ():
        key, _, value = pair.partition("=")
        if not key or not value or pair.count("=") != 1:
            raise CNIError(INVALID_ENVIRONMENT, f"CNI_ARGS: invalid pair {quote(pair)}")
        pairs.append((key, value))
    return pairs


def require_declared(nets: Iterable[NetworkConfigList], given: Iterable[str]) -> None:
    """Refuse capability arguments that no plugin would get.

    Raises:
        CNIError: there are some; what is declared is named.
    """
    nets = list(nets)
    declared = {capability for net in nets for capability in net.capabilities}
    missing = [name for name in given if name not in declared]
    if missing:
        names = ", ".join(net.name for net in nets)
        raise CNIError(
            INVALID_NETWORK_CONFIG,
            f"CAP_ARGS: no plugin of {names} declares the capability {', '.join(missing)}",
            f"declared: {', '.join(sorted(declared)) or 'none'}",
        )


def interfaces(
    nets: Iterable[NetworkConfigList], taken: Container[str] = ()
) -> list[tuple[NetworkConfigList, str]]:
    """Return networks with the names of their interfaces: eth0, eth1, ..., and lo.

    Numbers that are taken are left out.
    """
    found = []
    number = 0
    for net in nets:
        if all(plugin.type == LOOPBACK for plugin in net.plugins):
            found.append((net, "lo"))
            continue
        while f"eth{number}" in taken:
            number += 1
        found.append((net, f"eth{number}"))
        number += 1
    return found


def absolute(path: str) -> str:
    """Return the path of a namespace as it is told to plugins."""
    found = os.path.abspath(path)
    return found[1:] if found.startswith("//") else found


def container_id(netns: str) -> str:
    """Return the container ID that cnitool makes from a namespace's path."""
    try:
        module = __import__("_sha512")  # what hashlib has, without loading OpenSSL
    except ImportError:
        module = __import__("hashlib")
    return f"cnitool-{module.sha512(os.fsencode(netns)).digest()[:10].hex()}"


# -- the commands ----------------------------------------------------------------------------------


def _networks(caller: Caller, options: Options) -> list[NetworkConfigList]:
    """Return the networks that are meant.

    Raises:
        ConfigError: there are none, or they cannot be read.
    """
    directory = netdir(caller.env)
    return load_all(directory) if options.all else [load_network_conf(directory, options.network)]


def _network(caller: Caller, options: Options) -> NetworkConfigList:
    """Return the one network that is meant."""
    [net] = caller.meant(_networks(caller, options))
    return net


def _ifname(caller: Caller, options: Options) -> str:
    """Return the name of the interface that is meant."""
    return options.ifname or caller.env.get("CNI_IFNAME") or IFNAME


def _owner(options: Options) -> str:
    """Return the container ID that is meant."""
    return options.container_id or container_id(absolute(options.netns))


def attachments(
    nets: Iterable[tuple[NetworkConfigList, str]], owner: str, netns: str, env: Mapping[str, str]
) -> list[tuple[NetworkConfigList, RuntimeConf]]:
    """Return networks with what the runtime says about their attachments.

    Raises:
        CNIError: its environment says what makes no sense.
    """
    args, given = cni_args(env), capability_args(env)
    return [(net, RuntimeConf(owner, netns, ifname, args, given)) for net, ifname in nets]


def _meant(
    caller: Caller, options: Options, named: Sequence[tuple[NetworkConfigList, str]]
) -> list[tuple[NetworkConfigList, RuntimeConf]]:
    """Return the attachments that are meant."""
    caller.meant([net for net, _ in named])
    return attachments(named, _owner(options), absolute(options.netns), caller.env)


def _add(caller: Caller, options: Options) -> str:
    """Attach, and return the results; all networks or none."""
    nets = _networks(caller, options)
    named = interfaces(nets) if options.all else [(nets[0], _ifname(caller, options))]
    meant = _meant(caller, options, named)
    require_declared([net for net, _ in meant], meant[0][1].capability_args)
    results = add_all(caller.cni, meant, caller.ending)
    from cnifast.cli.pretty import pretty

    return "".join(map(pretty, results))


def add_all(
    cni: CNIConfig,
    attachments: Sequence[tuple[NetworkConfigList, RuntimeConf]],
    ending: Ending,
) -> list[Result]:
    """Attach to all of several networks, or to none; what was attached before stays so.

    Raises:
        CNIError: an attachment failed; the ones before it are gone again.
        Interrupted: the command is to end; all are gone again.
    """
    results: list[Result] = []
    is_new = [not _is_known(cni, net, rt) for net, rt in attachments]
    try:
        for net, rt in attachments:
            results.append(cni.add_network_list(net, rt, cancel=ending))
            ending.check()
    except BaseException as e:
        ending.settle()
        # Of one that was torn nobody knows how far it came.
        torn = e.torn if isinstance(e, Interrupted) else was_killed(e.__cause__)
        begun = attachments[: len(results) + torn]
        for net, rt in reversed([*compress(begun, is_new)]):
            try:
                cni.del_network_list(net, rt)
            except CNIError as also:
                e.add_note(f"while undoing: {also}")
        raise
    return results


def _is_known(cni: CNIConfig, net: NetworkConfigList, rt: RuntimeConf) -> bool:
    """Tell whether an attachment is remembered, be it in order or not."""
    return os.path.exists(cache.entry_path(cni.cache_dir or cache.DIRECTORY, net.name, rt))


def del_all(cni: CNIConfig, attachments: Sequence[tuple[NetworkConfigList, RuntimeConf]]) -> None:
    """Detach from all of several networks.

    Raises:
        CNIError: of the first one that failed; the others were done all the same.
    """
    failed: list[CNIError] = []
    for net, rt in reversed(attachments):
        try:
            cni.del_network_list(net, rt)
        except CNIError as e:
            failed.append(e)
    if failed:
        for also in failed[1:]:
            failed[0].add_note(str(also))
        raise failed[0]


def _del(caller: Caller, options: Options) -> str:
    """Detach; by the configuration that ADD was given where there is no usable one any more."""
    cni = caller.cni
    try:
        named = _attached(caller, options, _networks(caller, options))
    except ConfigError:
        named = _attached(caller, options, [])
        if not named:
            raise
    meant = _meant(caller, options, named)
    del_all(cni, [(net, as_added(cni, net, rt)) for net, rt in meant])
    return ""


def _attached(
    caller: Caller, options: Options, nets: Sequence[NetworkConfigList]
) -> list[tuple[NetworkConfigList, str]]:
    """Return networks with the names of the interfaces that ADD made.

    With `--all` these are all that are remembered; those in ``nets`` come first, in that order.  A
    network that nothing is remembered of has a name that the others leave.
    """
    ifname = _ifname(caller, options)
    if nets and not options.all:
        return [(net, ifname) for net in nets]
    known = [
        one
        for one in caller.cni.get_cached_attachments(_owner(options))
        if options.all or (one.network, one.rt.ifname) == (options.network, ifname)
    ]
    named = [(_network_of(one, nets), one.rt.ifname) for one in known]
    names = {one.network for one in known}
    taken = {one.rt.ifname for one in known}
    named += interfaces([net for net in nets if net.name not in names], taken)
    order = {net.name: number for number, net in enumerate(nets)}
    return sorted(named, key=lambda pair: order.get(pair[0].name, len(order)))


def _network_of(known: CachedAttachment, nets: Iterable[NetworkConfigList]) -> NetworkConfigList:
    """Return the network of an attachment: that of its name, if there is one, else as it was."""
    named = [net for net in nets if net.name == known.network]
    return max(named, key=lambda net: net.bytes == known.config) if named else known.load()


def as_added(cni: CNIConfig, net: NetworkConfigList, rt: RuntimeConf) -> RuntimeConf:
    """Return an attachment with the arguments that its ADD had, where none are given now."""
    if rt.args or rt.capability_args:
        return rt
    try:
        found = cni.get_network_list_cached_config(net, rt)
    except CNIError:
        found = None
    return rt if found is None else found[1]


def _check(caller: Caller, options: Options) -> str:
    """Check."""
    named = _attached(caller, options, _networks(caller, options))
    for net, rt in _meant(caller, options, named):
        caller.cni.check_network_list(net, as_added(caller.cni, net, rt))
    return ""


def _gc(caller: Caller, options: Options) -> str:
    """Release what belongs to no valid attachment."""
    caller.cni.gc_network_list(_network(caller, options), options.valid)
    return ""


def _status(caller: Caller, options: Options) -> str:
    """Say nothing when an attachment would be possible."""
    caller.cni.get_status_network_list(_network(caller, options))
    return ""


_COMMANDS = {"add": _add, "del": _del, "check": _check, "gc": _gc, "status": _status}
