"""
A witness without libpcap: a plain packet socket, read by recvmsg().

Shares no code with the programs under test.  The kernel's records are turned
into what a file holds by the rules of docs/PROTOCOL.md, written out anew.
"""
import socket
import struct
import sys
from collections import namedtuple

ETHERNET, RAW_IP, SLL, SLL2 = 1, 101, 113, 276
DOCSIS, IRDA, CAN, NETLINK = 143, 144, 227, 253
COOKED = (SLL, SLL2, IRDA, NETLINK)  # a header is made
OUTGOING = 4

SOL_PACKET, PACKET_AUXDATA, SO_TIMESTAMPNS, SO_RCVBUFFORCE = 263, 8, 35, 33
ETH_P_ALL = 3
VLAN_VALID, VLAN_TPID_VALID, CSUM_NOT_READY = 0x10, 0x40, 0x08
LARGEST = 1 << 20

# What recvmsg() says of one packet; tag is (TPID, TCI) or None.
Seen = namedtuple("Seen", "ts_ns orig_len data tag status protocol type arphrd address")


class Witness:
    """Everything on one interface from now on; kept in the socket's buffer."""

    def __init__(self, net, ns, iface, is_cooked=False):
        kind = socket.SOCK_DGRAM if is_cooked else socket.SOCK_RAW
        self.ifindex = net.link(ns, iface)["ifindex"]
        self.sock = net.socket(ns, socket.AF_PACKET, kind, 0)
        self.sock.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, 128 << 20)
        self.sock.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)
        self.sock.setsockopt(SOL_PACKET, PACKET_AUXDATA, 1)
        self.sock.bind((iface, ETH_P_ALL))
        self.sock.settimeout(10)

    def read(self, count):
        """The first count packets; those that loopback shows twice, once."""
        found = []
        is_loopback = self.sock.getsockname()[3] == 772
        while len(found) < count:
            data, control, _, (_, protocol, kind, arphrd, address) = \
                self.sock.recvmsg(LARGEST, 256)
            if is_loopback and kind == OUTGOING:
                continue
            found.append(_seen(data, control, protocol, kind, arphrd, address))
        return found

    def close(self):
        self.sock.close()


def _seen(data, control, protocol, kind, arphrd, address):
    tag = ts_ns = status = length = None
    for level, name, value in control:
        if (level, name) == (SOL_PACKET, PACKET_AUXDATA):
            status, length, _, _, _, tci, tpid = struct.unpack("=IIIHHHH", value)
            if status & VLAN_VALID:
                tag = (tpid if status & VLAN_TPID_VALID else 0x8100, tci)
        elif (level, name) == (socket.SOL_SOCKET, SO_TIMESTAMPNS):
            sec, nsec = struct.unpack("=qq", value)
            ts_ns = sec * 10**9 + nsec
    return Seen(ts_ns, length, data, tag, status, protocol, kind, arphrd, address)


def sll2(seen, ifindex):
    """The header of LINKTYPE_LINUX_SLL2."""
    return struct.pack(">HHIHBB8s", seen.protocol, 0, ifindex, seen.arphrd, seen.type,
                       len(seen.address), seen.address[:8])


def sll(seen):
    """The header of LINKTYPE_LINUX_SLL."""
    return struct.pack(">HHH8sH", seen.type, seen.arphrd, len(seen.address), seen.address[:8],
                       seen.protocol)


def record(seen, link_type, ifindex=0):
    """(time, original length, bytes) as a file of the link type has them."""
    data, extra = seen.data, b""
    if link_type == SLL2:
        extra = sll2(seen, ifindex)
        data = extra + data
    elif link_type in COOKED:
        extra = sll(seen)
        data = extra + data
    elif link_type == CAN:
        # The kernel has the identifier in the byte order of the machine.
        data = data[:4][::-1] + data[4:] if sys.byteorder == "little" else data
    elif seen.tag is not None and link_type in (ETHERNET, DOCSIS):
        extra = struct.pack(">HH", *seen.tag)
        data = data[:12] + extra + data[12:]
    return (seen.ts_ns, seen.orig_len + len(extra), data)


def sll_of_sll2(data):
    """An SLL2 packet as SLL has it: the same but for the interface's number."""
    protocol, _, _, arphrd, kind, size, address = struct.unpack_from(">HHIHBB8s", data)
    return struct.pack(">HHH8sH", kind, arphrd, size, address, protocol) + data[20:]
