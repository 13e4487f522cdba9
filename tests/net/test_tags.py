"""VLAN tags are in the file as they were on the wire, wherever the kernel put them."""
import contextlib
import struct

import pytest

import capfile
import devices
import frames
import witness

TPIDS = (0x8100, 0x88A8)
# Each bit alone, all, none: priority, DEI and number.
TCIS = [1 << bit for bit in range(16)] + [0x0000, 0xFFFF, 0x6005, 0x1064, 0x0FFF]
SNAPLENS = (1, 6, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 96, 0, 262144)


def tagged(*tags, size=100, number=0):
    """A frame with these (TPID, TCI), outermost first."""
    plain = frames.numbered(number + 1, size)[-1]
    return plain[:12] + b"".join(struct.pack(">HH", *tag) for tag in tags) + plain[12:]


ALL = [tagged((tpid, tci)) for tpid in TPIDS for tci in TCIS]
STACKED = [tagged(*tags) for tags in (
    ((0x88A8, 5), (0x8100, 7)), ((0x8100, 5), (0x8100, 7)), ((0x88A8, 5), (0x88A8, 7)),
    ((0x8100, 5), (0x88A8, 7)), ((0x8100, 0), (0x8100, 0)), ((0x9100, 5), (0x8100, 7)),
    ((0x88A8, 0xFFFF), (0x8100, 0xEFFF), (0x8100, 0)))]
UNTAGGED = [tagged()]

# What appears, and where the kernel keeps the outer tag.
WAYS = {
    "received": (devices.veth, True),
    "sent": (devices.veth_outgoing, False),
    "forwarded, driver does tags": (lambda net: devices.forwarded(net, True), True),
    "forwarded, driver does none": (lambda net: devices.forwarded(net, False), False),
    "redirected to ifb": (devices.ifb, True),
    "out of a bridge": (devices.bridge, True),
    "written to a tap": (devices.tap, True),
}


def capture(lab, make, packets, *words):
    """The file of these packets, and what a plain socket saw."""
    with make(lab.net) as device, contextlib.closing(
            witness.Witness(lab.net, lab.net.sensor, device.name)) as plain:
        client = lab.capture("-i", device.name, "-w", lab.file("a.pcapng"), *words)
        device.send(packets)
        seen = plain.read(len(packets))
        assert client.interrupt() == 0
    return capfile.read(lab.file("a.pcapng")).packets, seen


@pytest.mark.parametrize("way", WAYS)
def test_every_bit_of_a_tag_is_in_the_file(lab, agent, way):
    make, is_metadata = WAYS[way]
    sent = ALL + STACKED + UNTAGGED
    got, seen = capture(lab, make, sent)
    assert [p.data for p in got] == sent
    assert [p.orig_len for p in got] == [len(data) for data in sent]
    # Else the test is not about what it says: the plain socket was told the tag, or was not.
    # (Only of 802.1Q: ethtool's txvlan leaves 802.1ad to the driver.)
    assert [s.tag is not None for s in seen[:len(TCIS)]] == [is_metadata] * len(TCIS)


@pytest.mark.parametrize("snaplen", SNAPLENS)
@pytest.mark.parametrize("way", ["received", "sent"])
def test_a_cut_inside_addresses_or_tag_keeps_both_lengths_right(lab, agent, way, snaplen):
    sent = [ALL[3], STACKED[0], STACKED[-1], UNTAGGED[0], tagged((0x8100, 0), size=1500)]
    got, _ = capture(lab, WAYS[way][0], sent, "-s", str(snaplen))
    keep = snaplen or 262144
    assert [p.data for p in got] == [data[:keep] for data in sent]
    assert [p.orig_len for p in got] == [len(data) for data in sent]


@pytest.mark.parametrize("text", ["vlan", "vlan 5", "not vlan", "ether[14:2] = 5"])
@pytest.mark.parametrize("way", ["forwarded, driver does tags", "forwarded, driver does none"])
def test_a_filter_of_tags_means_the_same_wherever_the_tag_is(lab, agent, way, text):
    """Of outgoing frames, whose tag is in metadata or in line: the same verdict."""
    sent = ALL + STACKED[:-1] + UNTAGGED
    got, _ = capture(lab, WAYS[way][0], sent, text)

    def tag_of(data):
        tpid, tci = struct.unpack_from(">HH", data, 12)
        return tci & 0xFFF if tpid in (*TPIDS, 0x9100) else None

    want = {"vlan": lambda d: tag_of(d) is not None, "vlan 5": lambda d: tag_of(d) == 5,
            "not vlan": lambda d: tag_of(d) is None,
            "ether[14:2] = 5": lambda d: d[14:16] == b"\0\x05"}[text]
    assert [p.data for p in got] == [data for data in sent if want(data)]
