"""A client by hand that keeps what comes, may lose its connection, and resumes.

Everything is checked as it comes: sequences without a hole, packets against
watermarks, announcements by their number.
"""
import socket
import ssl
import struct
import threading
import time

import frames
import wire
from wire import envelope, field, varint


def fixed64(number, value):
    return varint(number << 3 | 1) + struct.pack("<Q", value & (1 << 64) - 1)


def unpack(column):
    """The numbers of a packed column."""
    numbers, value, shift = [], 0, 0
    for byte in column:
        value |= (byte & 0x7F) << shift
        shift += 7
        if not byte & 0x80:
            numbers.append(value)
            value = shift = 0
    return numbers


def one(fields, number, default=0):
    return fields.get(number, [default])[0]


def packets_of(fields):
    """(time, interface, bytes) of each packet of a Batch."""
    count, data, at = one(fields, 2), one(fields, 15, b""), 0
    stamp, found = one(fields, 3), []
    lengths = unpack(one(fields, 5, b""))
    interfaces = unpack(one(fields, 7, b"")) or [0]
    for i, delta in enumerate(unpack(one(fields, 4, b""))):
        stamp += wire.zigzag(delta)
        iface = interfaces[i] if len(interfaces) == count else interfaces[0]
        found.append((stamp, iface, data[at:at + lengths[i]]))
        at += lengths[i]
    assert at == len(data) and len(found) == count
    return found


def total(stats, number):
    return sum(one(wire.parse(s), number) for s in stats.get(1, []))


class Taker:
    def __init__(self, lab, pki, cert="client"):
        self.lab, self.pki, self.cert = lab, pki, cert
        self.conn = None
        self.numbers = []		# of the frames that came, as they came
        self.next = 1			# the first sequence that it lacks
        self.announced = 0
        self.gaps = []			# (first, last, packets, reason, by interface)
        self.events = []
        self.watermark = (0, 0)
        self.ended = None
        self.capture_id = self.token = None
        self.started = None

    def connect(self, cert=None):
        self.conn = wire.Wire(self.lab, self.pki, cert=cert or self.cert)
        self.conn.send(wire.hello())
        assert self.conn.receive()[0] == wire.HELLO
        return self.conn

    def start(self, interface="cap0", linger_ms=30000, heartbeat_ms=0, log_bytes=0, ring_bytes=0,
              options=b""):
        self.connect()
        options += (field(7, ring_bytes) + field(8, log_bytes) + field(19, linger_ms)
                    + field(20, heartbeat_ms))
        self.conn.send(wire.start_of([wire.request(interface)], [wire.filter_of()], options))
        return self.take_started()

    def take_started(self):
        number, self.started = self.conn.receive()
        assert number == wire.STARTED, wire.error_of(self.started)
        self.capture_id, self.token = one(self.started, 7), one(self.started, 8, b"")
        assert one(self.started, 11) == self.next
        self.announced = max(self.announced, one(self.started, 12))
        return self.started

    def resume_message(self, token=None, capture_id=None, sequence=None, announcements=None):
        return envelope(wire.RESUME,
                        fixed64(1, self.capture_id if capture_id is None else capture_id)
                        + field(2, self.token if token is None else token)
                        + field(3, self.next if sequence is None else sequence)
                        + field(4, self.announced if announcements is None else announcements))

    def resume(self):
        self.connect()
        self.conn.send(self.resume_message())
        return self.take_started()

    def refused(self, cert=None, **kwargs):
        """The Error that a Resume is answered with."""
        with wire.Wire(self.lab, self.pki, cert=cert or self.cert) as conn:
            conn.send(wire.hello())
            assert conn.receive()[0] == wire.HELLO
            conn.send(self.resume_message(**kwargs))
            number, fields = conn.receive()
            assert number == wire.ERROR
            return wire.error_of(fields)

    def ack(self, sequence=None):
        self.conn.send(envelope(wire.ACK, field(1, self.next - 1 if sequence is None else sequence)))

    def ping(self):
        self.conn.send(envelope(wire.PING, fixed64(1, 1)))

    def stop(self, now=False):
        self.conn.send(envelope(wire.STOP, field(1, 1) if now else b""))

    def keep(self, number, fields):
        if number == wire.BATCH:
            assert one(fields, 1) == self.next
            self.next += 1
            for stamp, _, data in packets_of(fields):
                assert stamp >= self.watermark[1], "stamped before the watermark"
                self.numbers.append(frames.number_of(data))
        elif number == wire.GAP:
            assert one(fields, 1) == self.next
            self.next = one(fields, 2) + 1
            self.gaps.append((one(fields, 1), one(fields, 2), one(fields, 3), one(fields, 7),
                              unpack(one(fields, 8, b""))))
        elif number in (wire.EVENT, wire.FILTER_CHANGED):
            self.announced += 1
            self.events.append(one(fields, 5, b"").decode())
        elif number == wire.WATERMARK:
            assert one(fields, 1) == self.next - 1
            assert one(fields, 2) >= self.watermark[1]
            self.watermark = (one(fields, 1), one(fields, 2))
        elif number == wire.ENDED:
            self.ended = fields
        elif number == wire.ERROR:
            raise AssertionError(wire.error_of(fields))

    def take_until(self, check, timeout=20):
        """Take messages until check() is true; pings go out meanwhile."""
        end = time.monotonic() + timeout
        pinged = time.monotonic()
        while not check():
            assert time.monotonic() < end, f"not within {timeout} s"
            self.keep(*self.conn.receive())	# stats and watermarks come all the time
            if time.monotonic() - pinged > 1:
                pinged = time.monotonic()
                self.ping()

    def take_end(self):
        self.take_until(lambda: self.ended is not None)
        assert one(self.ended, 4) == self.next - 1
        return wire.parse(one(self.ended, 3, b""))

    def close(self):
        """In order: the capture ends."""
        try:
            self.conn.sock.unwrap()
        except (OSError, ssl.SSLError):
            pass
        self.conn.close()

    def cut(self, how):
        """The connection is gone, without a TLS close."""
        if how == "reset":
            self.conn.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.conn.close()

    def check_all(self, count):
        assert sorted(self.numbers) == list(range(count)), "each frame once"


class Pinger:
    """Pings in a thread of its own: for a client that reads nothing."""

    def __init__(self, taker):
        self._taker, self._stop = taker, threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def _run(self):
        while not self._stop.wait(0.5):
            self._taker.ping()

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._stop.set()
        self._thread.join()
