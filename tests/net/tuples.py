"""Random connections, expressions that a tuple answers, and scapy's packet of a tuple."""
import ipaddress
import logging
from collections import namedtuple

import exprs
import offline
import values

logging.getLogger("scapy").setLevel(logging.ERROR)
from scapy.layers.inet import ICMP, IP, TCP, UDP  # noqa: E402
from scapy.layers.inet6 import ICMPv6Unknown, IPv6  # noqa: E402
from scapy.layers.sctp import SCTP  # noqa: E402
from scapy.packet import Raw  # noqa: E402

# As a table has them: hosts as text, for ICMP type and code in the place of ports.
Tuple = namedtuple("Tuple", "src dst sport dport transport")

TRANSPORTS = ("tcp", "tcp", "tls", "udp", "udp", "dtls", "sctp", "icmp", 6, 17, 132, 47, 50, 2)
ICMP_TYPES = (0, 3, 5, 8, 11, 13)
ICMP6_TYPES = (1, 2, 3, 128, 129, 133, 135, 136)
WITH_PORTS = {"tcp": TCP, "tls": TCP, 6: TCP, "udp": UDP, "dtls": UDP, 17: UDP, "sctp": SCTP,
              132: SCTP}


def address(rng, version):
    if rng.random() < 0.7:
        return rng.choice(values.HOSTS4 if version == 4 else values.HOSTS6)
    net = ipaddress.ip_network(rng.choice(values.NETS4 if version == 4 else values.NETS6))
    return str(net[rng.randrange(net.num_addresses)])


def spelled(rng, host):
    """Some IPv4 addresses as dual-stack programs log them."""
    return f"::ffff:{host}" if ":" not in host and rng.random() < 0.2 else host


def connection(rng):
    version = rng.choice((4, 4, 6))
    src, dst = address(rng, version), address(rng, version)
    transport = rng.choice(TRANSPORTS)
    if transport == "icmp":
        sport, dport = rng.choice(ICMP_TYPES if version == 4 else ICMP6_TYPES), rng.choice((0, 0, 1, 4))
        transport = transport if version == 4 else rng.choice(("icmp", "icmp6"))
    else:
        sport, dport = (rng.choice(values.PORTS) if rng.random() < 0.7 else rng.randrange(65536)
                        for _ in range(2))
    return Tuple(spelled(rng, src), spelled(rng, dst), sport, dport, transport)


def unmapped(host):
    found = ipaddress.ip_address(host)
    return str(getattr(found, "ipv4_mapped", None) or found)


def packet(one, rng=None):
    """
    What scapy makes of a tuple.  With rng all that the tuple does not tell is
    random: an expression that a tuple answers must not depend on it.
    """
    src, dst = unmapped(one.src), unmapped(one.dst)
    chance = rng.randrange if rng else lambda bound: 0
    data = rng.randbytes(rng.randrange(64, 200)) if rng else bytes(64)
    if ":" in src:
        layer = IPv6(src=src, dst=dst, hlim=chance(256), tc=chance(256), fl=chance(1 << 20))
    else:
        layer = IP(src=src, dst=dst, ttl=chance(256), tos=chance(256), id=chance(65536),
                   flags=chance(2) * 2)
    if one.transport in WITH_PORTS:
        upper = WITH_PORTS[one.transport](sport=one.sport, dport=one.dport)
        if rng and isinstance(upper, TCP):
            upper.flags, upper.window, upper.seq = chance(256), chance(65536), chance(1 << 32)
        return bytes(layer / upper / Raw(data))
    if one.transport == "icmp" and ":" not in src:
        return bytes(layer / ICMP(type=one.sport, code=one.dport) / Raw(data))
    if one.transport in ("icmp", "icmp6"):
        return bytes(layer / ICMPv6Unknown(type=one.sport, code=one.dport, msgbody=data))
    if ":" in src:
        layer.nh = one.transport
    else:
        layer.proto = one.transport
    return bytes(layer / Raw(data))


# --- expressions: nothing in them that a tuple does not tell ---

def host(r):
    return r.choice(("", "", "ip ")) + exprs.directed(r) + "host " + r.choice(values.HOSTS4)


def protocol(r):
    return r.choice(("ip proto ", "ip6 proto ", "proto ")) + str(r.choice((1, 2, 6, 17, 47, 50, 58, 132)))


def port_bytes(r):
    return f"{r.choice(('tcp', 'udp', 'sctp'))}[{r.choice((0, 2))}:2] {exprs.relation(r)} " + \
        str(r.choice(values.PORTS))


def header_bytes(r):
    access, found = r.choice((
        ("ip[9]", (1, 6, 17, 132)), ("ip[12]", (10, 192, 224)), ("ip[16:2]", (0x0A01, 0xC000)),
        ("ip[12:4]", (0x0A010001, 0xE0000005)), ("ip[6:2] & 0x1fff", (0, 1)), ("ip[0] >> 4", (4, 6)),
        ("ip[0] & 0xf0", (0x40, 0x60)), ("ip6[6]", (6, 17, 58)),
        ("ip6[8:4]", (0x20010DB8, 0xFD000077)), ("ip6[24] & 0xf0", (0x20, 0xF0)),
        ("ip[19] & 3", (0, 1, 2))))
    return f"{access} {exprs.relation(r)} {r.choice(found)}"


def arithmetic(r):
    compare = exprs.relation(r)
    return r.choice((
        f"ip[12:4] {compare} ip[16:4]", f"ip[15] + ip[19] {compare} {r.randrange(9)}",
        f"tcp[0:2] / 2 {compare} {r.choice(values.PORTS) // 2}", f"ip[9] % 3 = {r.randrange(3)}",
        f"(ip[12] ^ ip[16]) & 7 {compare} {r.randrange(8)}"))


def both_ports(r):
    """
    Only at the end: libpcap 1.10's optimizer takes X, in which the second port
    is, for the length of the IP header where another port is asked for next.
    """
    layer, first, compare = r.choice(("tcp", "udp", "sctp")), r.choice((0, 2)), exprs.relation(r)
    test = r.choice((f"{layer}[{first}:2] {compare} {layer}[{2 - first}:2]",
                     f"{layer}[{first}:2] - {layer}[{2 - first}:2] {compare} {r.choice(values.PORTS)}"))
    return r.choice(("", f"not {host(r)} and ", f"{exprs.net(r)} or ", "ip6 or ")) + test


def icmp_type(r):
    return r.choice((f"icmp[icmptype] {exprs.relation(r)} {r.choice(ICMP_TYPES)}",
                     f"icmp[icmpcode] {exprs.relation(r)} {r.choice((0, 1, 4))}",
                     "icmp[icmptype] = icmp-echo", f"icmp6[icmp6type] = {r.choice(ICMP6_TYPES)}",
                     f"icmp6[1] {exprs.relation(r)} {r.choice((0, 1, 4))}"))


TERMS = {
    "host": host, "IPv6 host": exprs.host6, "net": exprs.net, "IPv6 net": exprs.net6,
    "port": exprs.port, "port range": exprs.portrange, "protocol number": protocol,
    "protocol": exprs.one_of("ip", "ip6", "tcp", "udp", "sctp", "icmp", "icmp6", "igmp", "esp",
                             "ip6 and udp", "tcp and ip6", "ip and sctp"),
    "ports as bytes": port_bytes, "header bytes": header_bytes, "arithmetic": arithmetic,
    "ICMP type and code": icmp_type, "multicast": exprs.one_of("ip multicast", "ip6 multicast"),
    "many ports": exprs.many_ports, "many hosts": exprs.many_hosts,
}
CONSTRUCTS = ("both ports", *TERMS, *exprs.BARE_SHAPES)


def expression(rng, must, sample):
    """One with the construct must; of several candidates one that splits the sample."""
    if must != "both ports":
        return exprs.choose(rng, must, TERMS, sample, offline.RAW_IP)
    text = both_ports(rng)
    return exprs.Expr(text, frozenset((must,)), False, offline.Filter(text, offline.RAW_IP))
