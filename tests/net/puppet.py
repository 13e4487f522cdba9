"""An agent that says what a test decides: order, timing and lies included.

For what the real agent cannot be made to do on demand, such as an event that
overtakes batches.  Speaks docs/PROTOCOL.md through wire.py.
"""
import socket
import ssl
import time

import wire
from lab import Timeout
from wire import envelope, field, fixed64, varint

WHOLE = 0xFFFFFFFF
ETHERNET, RAW_IP, SLL2 = 1, 101, 276
NOW = 1_700_000_000 * 10**9


def packed(number, values):
    return field(number, b"".join(varint(v) for v in values))


def sint(value):
    return (value << 1) ^ (value >> 63)


def interface(name, index=7, link_type=ETHERNET, request=0, snaplen=65535, place=0, netns="",
              time_stamp_type=0):
    return (field(1, name) + field(2, index) + field(3, link_type) + field(8, request)
            + field(9, snaplen) + field(10, place) + field(11, netns) + field(12, time_stamp_type))


def started(interfaces, snaplen=65535, notes="", more=b""):
    """more: further fields, such as resumable()."""
    body = b"".join(field(1, i) for i in interfaces) + field(2, snaplen) + field(5, notes)
    return envelope(wire.STARTED, body + fixed64(6, NOW) + more)


def resumable(capture_id, token, next_sequence=0, announcements=0, linger_ms=60000,
              heartbeat_ms=6000):
    return (fixed64(7, capture_id) + field(8, token) + field(9, linger_ms) + field(10, heartbeat_ms)
            + field(11, next_sequence) + field(12, announcements))


def batch(sequence, packets, iface=0, kind=0, time_ns=NOW):
    """Packets of one interface, a microsecond apart."""
    n = len(packets)
    body = (field(1, sequence) + field(2, n) + fixed64(3, time_ns)
            + packed(4, [sint(0)] + [sint(1000)] * (n - 1)) + packed(5, [len(p) for p in packets])
            + packed(7, [iface]) + packed(8, [kind]) + field(15, b"".join(packets)))
    return envelope(wire.BATCH, body)


def gap(first, last, packets, by_interface=None, reason=1):
    """by_interface: as many as there are; absent: of no known one."""
    body = (field(1, first) + field(2, last) + field(3, packets) + field(4, packets * 60)
            + fixed64(5, NOW) + fixed64(6, NOW) + field(7, reason))
    return envelope(wire.GAP, body + (packed(8, by_interface) if by_interface else b""))


def watermark(sequence, time_ns=NOW):
    return envelope(wire.WATERMARK, field(1, sequence) + fixed64(2, time_ns))


def event(sequence, text, kind=8, iface=WHOLE):
    return envelope(wire.EVENT, field(1, sequence) + fixed64(2, NOW) + field(3, kind)
                    + field(4, iface) + field(5, text))


def filter_changed(number, sequence, places, code=0, text=""):
    return envelope(wire.FILTER_CHANGED, field(1, number) + field(2, sequence) + fixed64(3, NOW)
                    + field(4, sint(code)) + field(5, text) + packed(6, places))


def interface_added(iface, sequence):
    return envelope(wire.INTERFACE_ADDED, field(1, iface) + field(2, sequence))


def need_programs(link_types):
    return envelope(wire.NEED_PROGRAMS, packed(1, link_types))


def _stats(counters):
    names = ("received", "dropped_kernel", "dropped_interface", "batched", "dropped_agent",
             "dropped_filter_change", "freezes", "lost_packets")
    body = b""
    for one in counters:
        body += field(1, b"".join(field(names.index(k) + 1, v) for k, v in one.items()))
    return body


def stats(counters):
    return envelope(wire.STATS, _stats(counters))


def ended(counters, last_sequence):
    return envelope(wire.ENDED, field(3, _stats(counters)) + field(4, last_sequence))


class Puppet(wire.Wire):
    """Waits on the sensor's address; one connection."""

    def __init__(self, lab, pki):
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.minimum_version = ssl.TLSVersion.TLSv1_3
        self.context.set_alpn_protocols([wire.ALPN])
        self.context.verify_mode = ssl.CERT_REQUIRED
        self.context.load_verify_locations(pki.path("ca.pem"))
        self.context.load_cert_chain(pki.path("agent.pem"), pki.path("agent.key"))
        self.listener = lab.net.socket(lab.net.sensor, socket.AF_INET, socket.SOCK_STREAM)
        self.listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.listener.bind(("10.9.0.1", 9443))
        self.listener.listen(1)
        self.listener.settimeout(20)
        self.buffer = b""
        self.sock = None
        self.acked = 0

    def accept(self, wanted=wire.START, hello=None):
        """The Start, or Resume, of the client that connects."""
        raw, _ = self.listener.accept()
        raw.settimeout(20)
        self.sock = self.context.wrap_socket(raw, server_side=True)
        self.buffer = b""
        self.expect(wire.HELLO)
        self.send(hello or wire.hello())
        return self.expect(wanted)

    def hang_up(self):
        """The connection is gone, without a word of TLS."""
        self.sock.shutdown(socket.SHUT_RDWR)
        self.sock.close()

    def expect(self, wanted):
        """The next message of this number; acknowledgements are noted on the way."""
        end = time.monotonic() + 20
        # A client that pings is alive, but that is not what is waited for.
        while time.monotonic() < end:
            number, fields = self.receive()
            if number == wire.ACK:
                self.acked = fields[1][0]
            elif number == wire.PING:
                self.send(envelope(wire.PONG, fixed64(1, fields[1][0])))
            if number == wanted:
                return fields
        raise Timeout(f"message {wanted}: not within 20 s")

    def wait_acked(self, sequence):
        while self.acked < sequence:
            self.expect(wire.ACK)

    def end(self, counters, last_sequence):
        """After the client's Stop."""
        self.expect(wire.STOP)
        self.send(ended(counters, last_sequence))

    def close(self):
        if self.sock is not None:
            self.sock.close()
        self.listener.close()
