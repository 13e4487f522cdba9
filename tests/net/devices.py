"""
Interfaces of many kinds on the sensor, and packets that appear on them.

Every device is made in the sensor's namespace, is up when the block begins
and gone when it ends.  A device has .name and .send(packets).
"""
import contextlib
import ctypes
import fcntl
import os
import socket
import struct

import frames
from lab import Sender, eventually, run

TUNSETIFF, TUNSETLINK = 0x400454CA, 0x400454CD
IFF_TUN, IFF_TAP, IFF_NO_PI = 0x0001, 0x0002, 0x1000
SIOCETHTOOL, ETHTOOL_GFLAGS, ETHTOOL_SFLAGS = 0x8946, 0x25, 0x26
ETH_FLAG_TXVLAN = 1 << 7
OURS = "02:00:00:00:00:02"  # frames.DST


class Port:
    """An interface whose other end sends exact frames."""

    def __init__(self, name, sender):
        self.name, self._sender = name, sender

    def send(self, packets):
        self._sender.send_paced(packets, 2000)


def quiet(net, ns, *names):
    """Up, and without a packet of their own."""
    for name in names:
        net.sysctl(ns, f"net.ipv6.conf.{name}.disable_ipv6", 1)
        net.ip(ns, "link", "set", name, "up")


@contextlib.contextmanager
def line(net, near="near1", far="far1", mtu=9000, address=OURS):
    """A veth pair from far in the generator to near in the sensor."""
    net.ip(net.gen, "link", "add", far, "mtu", str(mtu), "type", "veth", "peer", "name", near,
           "mtu", str(mtu), "netns", net.sensor, "address", address)
    try:
        quiet(net, net.gen, far)
        quiet(net, net.sensor, near)
        eventually(lambda: net.link(net.gen, far)["operstate"] == "UP", 10, f"carrier of {far}")
        yield near
    finally:
        net.ip(net.gen, "link", "del", far)


@contextlib.contextmanager
def sending(net, name, iface, ns=None):
    sender = Sender(net, ns=ns, iface=iface)
    try:
        yield Port(name, sender)
    finally:
        sender.close()


@contextlib.contextmanager
def veth(net):
    with line(net), sending(net, "near1", "far1") as port:
        yield port


@contextlib.contextmanager
def veth_outgoing(net):
    """The frames leave the sensor."""
    with line(net), sending(net, "near1", "near1", ns=net.sensor) as port:
        yield port


@contextlib.contextmanager
def bridge(net):
    with line(net, address="02:00:00:00:00:77"):
        net.ip(net.sensor, "link", "add", "br1", "mtu", "9000", "address", OURS, "type", "bridge",
               "mcast_snooping", "0")
        try:
            net.ip(net.sensor, "link", "set", "near1", "master", "br1")
            quiet(net, net.sensor, "br1")
            eventually(lambda: net.link(net.sensor, "br1")["operstate"] == "UP", 10, "bridge")
            with sending(net, "br1", "far1") as port:
                yield port
        finally:
            net.ip(net.sensor, "link", "del", "br1")


@contextlib.contextmanager
def macvlan(net):
    with line(net, address="02:00:00:00:00:77"):
        net.ip(net.sensor, "link", "add", "mv1", "link", "near1", "mtu", "9000", "address", OURS,
               "type", "macvlan", "mode", "bridge")
        quiet(net, net.sensor, "mv1")
        with sending(net, "mv1", "far1") as port:
            yield port


@contextlib.contextmanager
def vxlan(net):
    """The frames come out of a tunnel over a line with addresses."""
    with line(net, mtu=9200):
        ends = ((net.gen, "far1", "10.8.0.1", "10.8.0.2", "02:00:00:00:00:01"),
                (net.sensor, "near1", "10.8.0.2", "10.8.0.1", OURS))
        for ns, under, local, remote, mac in ends:
            net.ip(ns, "addr", "add", f"{local}/24", "dev", under)
            net.ip(ns, "link", "add", "vx1", "mtu", "9000", "address", mac, "type", "vxlan",
                   "id", "7", "dstport", "4789", "local", local, "remote", remote, "dev", under)
            quiet(net, ns, "vx1")
        try:
            with sending(net, "vx1", "vx1") as port:
                yield port
        finally:
            for ns, *_ in ends:
                net.ip(ns, "link", "del", "vx1")


def redirect(net, source, target):
    """What comes in on source leaves by target; a tag that the kernel took stays taken."""
    run("tc", "-n", net.sensor, "qdisc", "add", "dev", source, "clsact")
    run("tc", "-n", net.sensor, "filter", "add", "dev", source, "ingress", "protocol", "all",
        "u32", "match", "u32", "0", "0", "action", "mirred", "egress", "redirect", "dev", target)


@contextlib.contextmanager
def ifb(net):
    """What comes in on a line is redirected: it leaves by ifb1, its tag in metadata."""
    with line(net):
        net.ip(net.sensor, "link", "add", "ifb1", "mtu", "9000", "type", "ifb")
        try:
            quiet(net, net.sensor, "ifb1")
            redirect(net, "near1", "ifb1")
            with sending(net, "ifb1", "far1") as port:
                yield port
        finally:
            net.ip(net.sensor, "link", "del", "ifb1")


@contextlib.contextmanager
def forwarded(net, tx_vlan):
    """What comes in on a line leaves by another, whose driver does tags or not."""
    with line(net), line(net, near="near2", far="far2"):
        set_tx_vlan(net, net.sensor, "near2", tx_vlan)
        redirect(net, "near1", "near2")
        with sending(net, "near2", "far1") as port:
            yield port


class Loopback:
    """Datagrams from the sensor to itself; packets are their payloads."""
    name = "lo"

    def __init__(self, net):
        self.net = net
        self.ends = [net.socket(net.sensor, socket.AF_INET, socket.SOCK_DGRAM) for _ in "ab"]
        self.ends[1].bind(("127.0.0.1", 0))

    def send(self, packets):
        for payload in packets:
            self.ends[0].sendto(payload, self.ends[1].getsockname())
            self.ends[1].recv(1 << 16)

    def close(self):
        for end in self.ends:
            end.close()


@contextlib.contextmanager
def loopback(net):
    made = Loopback(net)
    try:
        yield made
    finally:
        made.close()


class Tun:
    """A tun or tap device; what is written to it comes in."""

    def __init__(self, net, name, mode, arphrd=None):
        self.name, self.net = name, net
        # With a header of four bytes: flags and the Ethernet type.
        self.protocol = 0 if mode == IFF_TAP else 0x0800
        with net.inside(net.sensor):
            self.fd = os.open("/dev/net/tun", os.O_RDWR | os.O_CLOEXEC)
        request = struct.pack("16sH22x", name.encode(), mode)
        fcntl.ioctl(self.fd, TUNSETIFF, request)
        if arphrd is not None:
            fcntl.ioctl(self.fd, TUNSETLINK, arphrd)
        net.ip(net.sensor, "link", "set", name, "mtu", "9000")
        quiet(net, net.sensor, name)

    def send(self, packets):
        for packet in packets:
            os.write(self.fd, struct.pack(">HH", 0, self.protocol) + packet)

    def close(self):
        os.close(self.fd)


@contextlib.contextmanager
def tun(net, arphrd=None, protocol=0x0800):
    made = Tun(net, "tun1", IFF_TUN, arphrd)
    made.protocol = protocol
    try:
        yield made
    finally:
        made.close()


@contextlib.contextmanager
def tap(net):
    made = Tun(net, "tap1", IFF_TAP)
    try:
        yield made
    finally:
        made.close()


def set_tx_vlan(net, ns, iface, is_on):
    """ethtool -K IFACE txvlan on|off."""
    with net.socket(ns, socket.AF_INET, socket.SOCK_DGRAM) as sock:
        def ioctl(command, value=0):
            data = ctypes.create_string_buffer(struct.pack("=II", command, value), 8)
            request = struct.pack("16sP16x", iface.encode(), ctypes.addressof(data))
            fcntl.ioctl(sock, SIOCETHTOOL, request)
            return struct.unpack("=II", data.raw)[1]

        flags = ioctl(ETHTOOL_GFLAGS)
        ioctl(ETHTOOL_SFLAGS, flags | ETH_FLAG_TXVLAN if is_on else flags & ~ETH_FLAG_TXVLAN)
        assert bool(ioctl(ETHTOOL_GFLAGS) & ETH_FLAG_TXVLAN) == is_on


def ip_packets(count, seed=1):
    """IPv4 packets without a link header."""
    return [f.data[14:] for f in frames.mixed(3 * count, seed)
            if not f.tags and f.kind.endswith("4")][:count]
