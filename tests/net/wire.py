"""The protocol spoken by hand, to say what capclient never would.

Follows docs/PROTOCOL.md: a varint length, then an Envelope.  Encodes and
decodes protobuf without its compiler.
"""
import ssl
import struct

ERROR, HELLO, LIST_REQUEST, START, ACK, STOP, PING, UPDATE_FILTER, RESUME = range(1, 10)
(INTERFACE_LIST, STARTED, BATCH, GAP, STATS, ENDED, PONG, EVENT, NEED_PROGRAMS, PLAN, FILTER_CHANGED,
 INTERFACE_ADDED, WATERMARK) = range(16, 29)
ALPN = "capture/1"


def varint(value):
    out = bytearray()
    value &= (1 << 64) - 1
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def zigzag(value):
    return value >> 1 ^ -(value & 1)


def field(number, value):
    """A number as varint, bytes or text length-delimited."""
    if isinstance(value, int):
        return varint(number << 3) + varint(value)
    if isinstance(value, str):
        value = value.encode()
    return varint(number << 3 | 2) + varint(len(value)) + value


def parse(body):
    """All fields: number -> list of ints or bytes."""
    found, at = {}, 0

    def take():
        nonlocal at
        value = shift = 0
        while True:
            byte = body[at]
            at += 1
            value |= (byte & 0x7F) << shift
            shift += 7
            if not byte & 0x80:
                return value

    while at < len(body):
        key = take()
        if key & 7 == 0:
            value = take()
        elif key & 7 == 1:
            value = struct.unpack_from("<q", body, at)[0]
            at += 8
        elif key & 7 == 2:
            size = take()
            value = body[at:at + size]
            at += size
        else:
            raise ValueError(f"wire type {key & 7}")
        found.setdefault(key >> 3, []).append(value)
    return found


def envelope(number, body=b""):
    message = field(number, body)
    return varint(len(message)) + message


def hello():
    return envelope(HELLO, field(1, 1) + field(2, "test 0.1") + field(3, "here") + field(4, "any"))


def program(instructions, link_type=1):
    body = field(1, link_type)
    for code, jt, jf, k in instructions:
        body += field(2, field(1, code) + field(2, jt) + field(3, jf) + field(4, k))
    return body


def request(interface, snaplen=65535, filter_index=0, link_type=0, no_promiscuous=0):
    return (field(1, interface) + field(2, snaplen) + field(3, no_promiscuous) + field(4, filter_index)
            + field(5, link_type))


def filter_of(instructions=None, link_type=1, text="", exact_vlan=0, at_client=0):
    """One expression with one program, or with none."""
    body = field(1, text) + field(2, exact_vlan) + field(4, at_client)
    if instructions is not None:
        body += field(3, program(instructions, link_type))
    return body


def start_of(requests, filters, options=b""):
    """Start from InterfaceRequests and Filters; options are further fields."""
    body = b"".join(field(1, r) for r in requests) + b"".join(field(2, f) for f in filters)
    return envelope(START, body + options)


def start(interface, instructions=None, snaplen=65535, link_type=1):
    return start_of([request(interface, snaplen)], [filter_of(instructions, link_type)])


def update_filter(number, filters):
    return envelope(UPDATE_FILTER, field(1, number) + b"".join(field(2, f) for f in filters))


class Wire:
    """One connection; every operation is bounded by the socket's timeout."""

    def __init__(self, lab, pki, cert="client", port=9443, address="10.9.0.1", timeout=20):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.minimum_version = ssl.TLSVersion.TLSv1_3
        context.set_alpn_protocols([ALPN])
        context.load_verify_locations(pki.path("ca.pem"))
        if cert is not None:
            context.load_cert_chain(pki.path(cert + ".pem"), pki.path(cert + ".key"))
        raw = lab.net.connect((address, port), timeout)
        self.local_port = raw.getsockname()[1]
        self.sock = context.wrap_socket(raw, server_hostname=address)
        self.buffer = b""

    def send(self, *messages):
        self.sock.sendall(b"".join(messages))

    def _byte(self):
        while not self.buffer:
            more = self.sock.recv(65536)
            if not more:
                raise EOFError("closed")
            self.buffer = more
        byte, self.buffer = self.buffer[0], self.buffer[1:]
        return byte

    def receive(self):
        """The next message as (number, fields); EOFError at the end."""
        size = shift = 0
        while True:
            byte = self._byte()
            size |= (byte & 0x7F) << shift
            shift += 7
            if not byte & 0x80:
                break
        while len(self.buffer) < size:
            more = self.sock.recv(65536)
            if not more:
                raise EOFError("closed inside a message")
            self.buffer += more
        message, self.buffer = self.buffer[:size], self.buffer[size:]
        (number, bodies), = parse(message).items()
        return number, parse(bodies[0])

    def receive_until(self, wanted):
        while True:
            number, fields = self.receive()
            if number in (wanted, ERROR):
                return number, fields

    def drain(self):
        """Read to the end, however it comes; the last error message or None."""
        error = None
        try:
            while True:
                number, fields = self.receive()
                if number == ERROR:
                    error = fields
        except (EOFError, ConnectionError, ssl.SSLError):
            return error

    def close(self):
        self.sock.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


def error_of(fields):
    """(code, text) of an Error or Ended."""
    return zigzag(fields.get(1, [0])[0]), fields.get(2, [b""])[0].decode("utf-8", "replace")


def plain(lab, port=9443, address="10.9.0.1", timeout=20):
    """A bare TCP connection from the client's namespace."""
    return lab.net.connect((address, port), timeout)


