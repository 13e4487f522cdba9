"""Whatever is sent to the agent's port: refused, logged once, nobody harmed.

Runs the agent with address and undefined behaviour sanitizers; the lab's end
fails a test whose agent reported anything.
"""
import os
import random
import socket
import ssl

import pytest

import capfile
import frames
import wire
from lab import CLIENT4, SENSOR4, eventually
from wire import Wire


@pytest.fixture
def agent(lab):
    return lab.agent(build=lab.debug)


class Witness:
    """A session of somebody else, which must not notice."""

    def __init__(self, lab):
        self.lab, self.sent = lab, 0
        self.path = lab.file("witness.pcapng")
        # What a test sends to another port is not the witness's.
        self.client = lab.capture("-i", "cap0", "-w", self.path, "udp", "dst", "port", "9")
        self.sender = lab.sender()

    def send(self, count=50):
        self.sender.send(*frames.numbered(self.sent + count)[self.sent:])
        self.sent += count

    def check(self):
        self.send()
        assert self.client.interrupt() == 0
        got = [frames.number_of(p.data) for p in capfile.read(self.path).packets]
        assert got == list(range(self.sent))


@pytest.fixture
def witness(lab, agent):
    return Witness(lab)


def lines_of(agent, port):
    return [line for line in agent.err.lines() if f"{CLIENT4}:{port}" in line]


def closed_by_agent(sock, timeout=20):
    """Wait until the other side has closed; whatever it says until then."""
    sock.settimeout(timeout)
    got = b""
    try:
        while True:
            more = sock.recv(4096)
            if not more:
                return got
            got += more
    except ConnectionError:
        return got


def logged_once(agent, port):
    eventually(lambda: lines_of(agent, port), 5, f"a line about port {port}")
    assert len(lines_of(agent, port)) == 1, "\n".join(lines_of(agent, port))


BLOBS = {
    "random": random.Random(1).randbytes(4000),
    "zeros": bytes(5000),
    "http": b"GET / HTTP/1.1\r\nHost: sensor\r\n\r\n",
    "a_record_that_never_ends": b"\x16\x03\x01\x3f\xff" + b"\x01\x00\x3f\xfb" + b"a" * 100,
    "an_oversized_record": b"\x16\x03\x01\xff\xff" + bytes(66000),
    "ssh": b"SSH-2.0-OpenSSH_9.2\r\n",
}


@pytest.mark.parametrize("name", sorted(BLOBS))
def test_what_is_not_tls_is_refused(lab, agent, witness, name):
    sock = wire.plain(lab)
    port = sock.getsockname()[1]
    try:
        sock.sendall(BLOBS[name])
    except ConnectionError:
        pass
    closed_by_agent(sock)
    witness.send()
    logged_once(agent, port)
    witness.check()


def test_connections_that_say_nothing_are_closed_in_time(lab, agent, witness):
    socks = [wire.plain(lab) for _ in range(20)]
    ports = [s.getsockname()[1] for s in socks]
    witness.send()
    for sock in socks:
        assert closed_by_agent(sock, 30) == b""
    for port in ports:
        logged_once(agent, port)
    witness.check()


def test_a_handshake_without_hello_is_closed_in_time(lab, agent, witness, pki):
    with Wire(lab, pki, timeout=30) as conn:
        conn.drain()
        logged_once(agent, conn.local_port)
    witness.check()


AFTER_TLS = {
    "random": random.Random(2).randbytes(3000),
    "a_length_of_zero": b"\0",
    "a_length_of_a_gigabyte": wire.varint(1 << 30),
    "a_length_of_64_bits": wire.varint(1 << 63),
    "a_varint_without_end": b"\xff" * 20,
    "an_empty_envelope": wire.varint(2) + b"\x12\x00" + b"\0",
    "an_unknown_message": wire.envelope(14, b"abc"),
    "start_before_hello": wire.start("cap0"),
    "truncated_fields": wire.varint(6) + b"\x12\xff\x01\x08\x01\x00",
    "wrong_wire_type": wire.varint(3) + b"\x10\x01\x00",
}


@pytest.mark.parametrize("name", sorted(AFTER_TLS))
def test_what_is_no_hello_is_refused(lab, agent, witness, pki, name):
    with Wire(lab, pki) as conn:
        conn.send(AFTER_TLS[name])
        conn.drain()
        logged_once(agent, conn.local_port)
    witness.check()


AFTER_HELLO = {
    "a_second_hello": wire.hello(),
    "agents_message": wire.envelope(wire.STARTED),
    "ack_without_capture": wire.envelope(wire.ACK, wire.field(1, 7)),
    "stop_without_capture": wire.envelope(wire.STOP),
    "no_interface": wire.start_of([], [wire.filter_of()]),
    "an_interface_name_of_10_kb": wire.start("x" * 10000),
    "an_interface_name_with_nul": wire.start("cap0\0x"),
    "snaplen_zero": wire.start("cap0", snaplen=0),
    "snaplen_too_large": wire.start("cap0", snaplen=1 << 30),
    "30000_interfaces": wire.start_of([wire.request("a")] * 30000, [wire.filter_of()]),
}


@pytest.mark.parametrize("name", sorted(AFTER_HELLO))
def test_what_makes_no_sense_after_hello_is_refused_with_a_reason(lab, agent, witness, pki, name):
    with Wire(lab, pki) as conn:
        conn.send(wire.hello())
        number, _ = conn.receive()
        assert number == wire.HELLO
        conn.send(AFTER_HELLO[name])
        error = conn.drain()
        assert error is not None
        code, text = wire.error_of(error)
        assert code < -2 and text
        logged_once(agent, conn.local_port)
    assert lab.net.promiscuity() == 1, "only the witness captures"
    witness.check()


def test_a_session_that_breaks_the_protocol_while_capturing_ends_alone(lab, agent, witness, pki):
    with Wire(lab, pki) as conn:
        conn.send(wire.hello(), wire.start("cap0"))
        number, _ = conn.receive_until(wire.STARTED)
        assert number == wire.STARTED
        conn.send(b"\xff" * 20)
        conn.drain()
    eventually(lambda: lab.net.promiscuity() == 1, 5, "end of the broken capture")
    witness.check()


def test_an_acknowledgement_of_what_never_came_ends_the_capture(lab, agent, witness, pki):
    with Wire(lab, pki) as conn:
        conn.send(wire.hello(), wire.start("cap0"))
        conn.receive_until(wire.STARTED)
        conn.send(wire.envelope(wire.ACK, wire.field(1, 1 << 40)))
        conn.drain()
    eventually(lambda: lab.net.promiscuity() == 1, 5, "end of the broken capture")
    witness.check()


def test_connections_cut_at_every_stage_leave_nothing(lab, agent, witness, pki):
    # Its capture's thread runs, with all that it opens.
    size = os.path.getsize(witness.path)
    witness.send()
    eventually(lambda: os.path.getsize(witness.path) >= size + 50 * 60, 10,
               "packets of the witness")
    before = len(os.listdir(f"/proc/{agent.net_pid}/fd"))
    for stage in range(4):
        for _ in range(5):
            if stage == 0:
                sock = wire.plain(lab)
                reset(sock)
                continue
            conn = Wire(lab, pki)
            if stage >= 2:
                conn.send(wire.hello())
                conn.receive()
            if stage == 3:
                conn.send(wire.start("cap0"))
                conn.receive_until(wire.STARTED)
            reset(conn.sock)
    eventually(lambda: lab.net.promiscuity() == 1, 10, "end of the cut captures")
    eventually(lambda: len(os.listdir(f"/proc/{agent.net_pid}/fd")) <= before, 10,
               "end of the cut connections' descriptors")
    witness.check()


def reset(sock):
    """Close with a RST, as a machine that lost its power and came back."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    sock.close()


def test_random_messages_never_harm(lab, agent, witness, pki):
    rng = random.Random(3)
    valid = [wire.hello(), wire.start("cap0"), wire.envelope(wire.STOP),
             wire.envelope(wire.LIST_REQUEST), wire.envelope(wire.PING, b"\x09" + bytes(8)),
             wire.envelope(wire.ACK, wire.field(1, 1))]
    for _ in range(100):
        blob = bytearray(b"".join(rng.choice(valid) for _ in range(rng.randint(1, 5))))
        for _ in range(rng.randint(1, 4)):
            blob[rng.randrange(len(blob))] ^= 1 << rng.randrange(8)
        try:
            with Wire(lab, pki) as conn:
                if rng.random() < 0.7:
                    conn.send(wire.hello())
                conn.send(bytes(blob))
                conn.sock.settimeout(0.05)
                conn.drain()
        except (OSError, ssl.SSLError, ValueError, IndexError):
            pass
    assert agent.is_running()
    witness.check()


# code, jt, jf, k: what the agent's checker, or at last the kernel's, must refuse.
RET, LD_IMM, ST, LD_MEM, JA, JEQ, DIV = 0x06, 0x00, 0x02, 0x60, 0x05, 0x15, 0x34
BAD_PROGRAMS = {
    "no_return": [(LD_IMM, 0, 0, 1)],
    "unknown_instruction": [(0xFFFF, 0, 0, 0), (RET, 0, 0, 1)],
    "unknown_misc": [(0x97, 0, 0, 0), (RET, 0, 0, 1)],
    "jump_out": [(JEQ, 200, 0, 0), (RET, 0, 0, 1)],
    "jump_back": [(JA, 0, 0, 0xFFFFFFFF), (RET, 0, 0, 1)],
    "division_by_zero": [(DIV, 0, 0, 0), (RET, 0, 0, 1)],
    "scratch_memory_never_written": [(LD_MEM, 0, 0, 3), (RET, 0, 0, 1)],
    "scratch_memory_outside": [(LD_IMM, 0, 0, 1), (ST, 0, 0, 16), (RET, 0, 0, 1)],
    "unknown_ancillary_load": [(0x20, 0, 0, 0xFFFFF000 + 200), (RET, 0, 0, 1)],
    "too_long": [(LD_IMM, 0, 0, 1)] * 4097 + [(RET, 0, 0, 1)],
    "field_too_large": [(RET, 300, 0, 1)],
}


@pytest.mark.parametrize("name", sorted(BAD_PROGRAMS))
def test_a_filter_program_that_is_not_valid_is_refused(lab, agent, witness, pki, name):
    with Wire(lab, pki) as conn:
        conn.send(wire.hello(), wire.start("cap0", BAD_PROGRAMS[name]))
        number, fields = conn.receive_until(wire.STARTED)
        assert number == wire.ERROR
        code, text = wire.error_of(fields)
        assert code in (-11, -6, -5), (code, text)
        assert text
    assert lab.net.promiscuity() == 1, "only the witness captures"
    witness.check()


def test_the_same_by_hand_but_valid_is_taken(lab, agent, pki):
    """What the refusals above do not hang on."""
    with Wire(lab, pki) as conn:
        conn.send(wire.hello(), wire.start("cap0", [(RET, 0, 0, 77)]))
        number, _ = conn.receive_until(wire.STARTED)
        assert number == wire.STARTED
        lab.sender().send(*frames.numbered(1))
        number, batch = conn.receive_until(wire.BATCH)
        assert number == wire.BATCH
        assert batch[15][0] == frames.numbered(1)[0][:77]


def test_a_filter_for_another_link_type_is_asked_for_and_in_the_end_refused(lab, agent, pki):
    with Wire(lab, pki) as conn:
        conn.send(wire.hello())
        assert conn.receive()[0] == wire.HELLO
        for _ in range(3):
            conn.send(wire.start("cap0", [(RET, 0, 0, 77)], link_type=101))
            number, fields = conn.receive()
            assert number == wire.NEED_PROGRAMS and fields[1] == [bytes((1,))]
        conn.send(wire.start("cap0", [(RET, 0, 0, 77)], link_type=101))
        number, fields = conn.receive()
        assert number == wire.ERROR
        assert wire.error_of(fields)[0] == -11
    assert lab.net.promiscuity() == 0


@pytest.mark.parametrize("name", [
    "*" * 255, "[" * 255, "netns:" + "x" * 240 + "/any", "netns:/any", "netns:../../proc/1/any",
    "pid:1/any", "pid:-1/any", "pid:99999999999/any", "netns:*/any", "/", "netns:", "pid:/",
    "[!-]]*[", "any/any",
])
def test_names_that_are_none_are_refused_and_open_nothing(lab, agent, pki, name):
    """An agent without configuration is in its own namespace only."""
    with Wire(lab, pki) as conn:
        conn.send(wire.hello(), wire.start(name, [(RET, 0, 0, 77)]))
        number, fields = conn.receive_until(wire.STARTED)
    # All stars are a pattern that everything matches.
    assert (number == wire.STARTED) == (name[0] == "*"), (number, fields)
    eventually(lambda: lab.net.promiscuity() == 0, what="the capture to end")


def test_it_ends_in_order_afterwards(lab, agent, pki):
    """Leaks are looked for at the end of the process."""
    with Wire(lab, pki) as conn:
        conn.send(wire.hello(), b"\xff" * 20)
        conn.drain()
    wire.plain(lab, address=SENSOR4).close()
    assert agent.stop() == 0
