"""Every type of device that the kernel lets us make: its link types are tcpdump's."""
import contextlib
import re
import subprocess

import pytest

import capfile
import devices
from lab import Proc

SLL, SLL2 = 113, 276

# linux/if_arp.h, and what libpcap knows besides (18, 8445); 60000 nobody knows.
TYPES = (0, 1, 2, 3, 4, 5, 6, 7, 8, 15, 18, 19, 23, 24, 27, 32, 256, 257, 258, 259, 260, 264, 270,
         271, 272, 280, 290, 512, 513, 516, 517, 518, 519, 768, 769, 770, 771, 772, 773, 774, 775,
         776, 777, 778, 779, 780, 781, 782, 783, 784, 785, 786, 787, 800, 801, 802, 803, 804, 805,
         820, 821, 822, 823, 824, 825, 826, 8445, 60000, 65534, 65535)


@pytest.fixture(scope="module")
def every_type(net):
    """A tun device of each type: ty280."""
    with contextlib.ExitStack() as stack:
        for arphrd in TYPES:
            made = devices.Tun(net, f"ty{arphrd}", devices.IFF_TUN, arphrd)
            stack.callback(made.close)
        yield {f"ty{arphrd}": arphrd for arphrd in TYPES}


def tcpdumps_default(lab, name):
    """
    The link type in its file.  A few old ones tcpdump cannot even compile an
    empty filter for, but it names libpcap's number.
    """
    path = lab.file(name)
    proc = Proc(lab, "tcpdump", ["tcpdump", "-Z", "root", "-i", name, "-w", path],
                ns=lab.net.sensor)
    found = proc.err.wait(r"listening on |unknown data link type (\d+)")
    if "unknown" in found.string:
        assert proc.wait(10) == 1
        return int(found.group(1))
    proc.signal(2)
    assert proc.wait(10) == 0
    return capfile.read(path).interfaces[0].link_type


def test_every_device_has_tcpdumps_link_type(lab, agent, every_type):
    """Where libpcap has SLL, the default here is SLL2, which keeps the interface's number."""
    path = lab.file("ours.pcapng")
    client = lab.capture("-i", "ty*", "-w", path)
    assert client.interrupt() == 0
    ours = {}
    for link_type, _, options in capfile.read(path).interfaces:
        ours[options[2].decode().split(":")[-1]] = link_type
    theirs = {name: tcpdumps_default(lab, name) for name in every_type}
    assert ours == {name: SLL2 if link_type == SLL else link_type
                    for name, link_type in theirs.items()}
    # A map that knows nothing but SLL would prove nothing.
    assert len(set(ours.values())) > 20


def names(text):
    return re.findall(r"^ +([A-Z0-9_]+)(?: \(|$)", text, re.MULTILINE)


def test_what_can_be_chosen_is_what_libpcap_offers_and_both_cooked_ones(lab, agent, every_type):
    for name in ("ty1", "ty784", "ty512", "ty65534", "ty801", "ty824"):
        done = subprocess.run(["ip", "netns", "exec", lab.net.sensor, "tcpdump", "-L", "-i", name],
                              check=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                              text=True)
        theirs = names(done.stdout)
        client = lab.client("-L", "-i", name)
        assert client.wait() == 0
        ours = names(client.out.text() + client.err.text())
        assert theirs, done.stdout
        assert ours[-2:] == ["LINUX_SLL2", "LINUX_SLL"], client.report()
        assert set(theirs) <= set(ours), (theirs, ours)
        assert set(ours) - set(theirs) <= {"LINUX_SLL2", "LINUX_SLL"}


def test_a_netlink_devices_packets_are_libpcaps(lab, agent):
    """Cooked with SLL's header, under a number of its own; so are IrDA and LAPD."""
    packets = [bytes([n]) * (20 + n) for n in range(1, 50)]
    for arphrd, link_type in ((824, 253), (783, 144), (8445, 177)):
        ours, theirs = lab.file(f"{arphrd}.pcap"), lab.file(f"{arphrd}.tcpdump")
        with devices.tun(lab.net, arphrd, 0x0010) as device:
            tcpdump = lab.tcpdump(theirs, "-c", str(len(packets)), iface=device.name)
            client = lab.capture("-i", device.name, "-w", ours)
            device.send(packets)
            assert tcpdump.wait(10) == 0
            assert client.interrupt() == 0
        ours, theirs = capfile.read(ours), capfile.read(theirs)
        assert ours.interfaces[0].link_type == theirs.interfaces[0].link_type == link_type
        assert ours.records() == theirs.records()
        assert len(ours.packets) == len(packets)


@pytest.mark.parametrize("choice,arphrd,theirs", (
    ("DOCSIS", 1, 143), ("LINUX_SLL", 512, SLL), ("FC_2_WITH_FRAME_DELIMS", 784, 225)))
def test_a_chosen_link_type_is_tcpdumps_choice_of_it(lab, agent, choice, arphrd, theirs):
    path, other = lab.file("ours.pcap"), lab.file("tcpdump")
    packets = [bytes([0x45, n]) * 30 for n in range(1, 50)]
    with devices.tun(lab.net, arphrd) as device:
        tcpdump = lab.tcpdump(other, "-c", str(len(packets)), "-y", choice, iface=device.name)
        client = lab.capture("-i", device.name, "-y", choice, "-w", path)
        device.send(packets)
        assert tcpdump.wait(10) == 0
        assert client.interrupt() == 0
    ours = capfile.read(path)
    assert ours.interfaces[0].link_type == theirs
    assert ours.records() == capfile.read(other).records()


def test_a_link_type_that_the_device_has_not(lab, agent):
    with devices.tun(lab.net, 512) as device:
        client = lab.client("-i", device.name, "-y", "EN10MB", "-w", lab.file("a.pcap"))
        assert client.wait(20) != 0
        assert "LINUX_SLL2" in client.err.text() and "LINUX_SLL" in client.err.text()


def test_a_mandatory_filter_is_not_got_around_by_another_name(lab):
    """The bytes are Ethernet's, whatever the client calls them."""
    lab.agent(conf="mandatory-filter = not udp port 53\n")
    dns, other = (udp(53), udp(54))
    for choice in ("EN10MB", "DOCSIS", "LINUX_SLL2", "LINUX_SLL"):
        path = lab.file(f"{choice}.pcap")
        client = lab.capture("-i", "cap0", "-y", choice, "-w", path)
        lab.sender().send(dns, other, dns, other)
        assert client.interrupt() == 0
        packets = capfile.read(path).packets
        assert [p.data[-30:] for p in packets] == [other[-30:]] * 2, choice


def udp(port):
    ip = bytes.fromhex("4500002e000000004011000001020304") + bytes([5, 6, 7, 8])
    head = bytes.fromhex("020000000002020000000001") + b"\x08\x00"
    return head + ip + port.to_bytes(2, "big") * 2 + b"\0\x1a\0\0" + bytes([port]) * 18
