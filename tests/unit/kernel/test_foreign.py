"""The names that the reference gives its rules, which is all there is to find them by."""

from __future__ import annotations

from cnifast.kernel import foreign
from cnifast.kernel.iptables import quote
from cnifast.kernel.nft import Owner


def test_iptables_names() -> None:
    """Chain and comment are those the reference made for container c1 in network net1."""
    assert foreign.iptables_chain("net1", "c1") == "CNI-c2d892b58e87e28a12fe6479"
    assert foreign.iptables_comment("net1", "c1") == 'name: "net1" id: "c1"'


def test_masquerade_prefix() -> None:
    """The comment begins with hashes of the network and of interface and container."""
    prefix = foreign.masquerade_prefix("net1", "c1", "eth0")
    assert prefix == "8e48f37d5de60467-f4d01f2ef4b92245"
    assert prefix.startswith(foreign.network_prefix("net1"))


def test_words_for_iptables_restore() -> None:
    """A word with blanks or quotes is quoted, what was in quotes is escaped, others stay."""
    assert quote("10.1.0.0/16") == "10.1.0.0/16"
    assert quote("!") == "!"
    assert quote('name: "a\\b"') == '"name: \\"a\\\\b\\""'
    assert quote("") == '""'


def test_owner_text_can_be_read_back() -> None:
    """An owner made of the comment of another has the same comment."""
    for owner in (Owner("c1", "eth0", "net"), Owner("c" * 300, "eth0", "n" * 300)):
        assert Owner.of_text(owner.text).text == owner.text
    assert Owner.of_text("no owner").text == "no owner "
