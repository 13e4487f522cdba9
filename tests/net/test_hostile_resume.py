"""Captures that outlive their connection: who asks for them wrongly gets nothing, and costs little.

Runs the agent with sanitizers, as test_hostile.py, but where memory is measured.
"""
import os
import re
import ssl

import pytest

import frames
import wire
from lab import LONG, eventually
from test_hostile import Witness, reset
from wire import Wire

E_BADMSG, E_STATE, E_LIMIT, E_GONE = -5, -7, -12, -23

@pytest.fixture
def agent(lab):
    return lab.agent(build=lab.debug)


@pytest.fixture
def witness(lab, agent):
    return Witness(lab)


class Lingering:
    """A capture with something in its log: three batches at least, none acknowledged."""

    def __init__(self, lab, pki, linger_ms=60000, batches=3):
        self.lab, self.pki = lab, pki
        self.conn = Wire(lab, pki)
        self.conn.send(wire.hello(), wire.start_of([wire.request("cap0")], [wire.filter_of()],
                                                   wire.lingering(linger_ms)))
        number, fields = self.conn.receive_until(wire.STARTED)
        assert number == wire.STARTED, fields
        self.id, self.token = fields[7][0], fields[8][0]
        assert len(self.token) == 32
        sender = lab.sender()
        for i in range(batches):
            sender.send(*frames.numbered(10, dport=10))
            number, fields = self.conn.receive_until(wire.BATCH)
            assert number == wire.BATCH and fields[1] == [i + 1]

    def lose(self):
        reset(self.conn.sock)

    def ask(self, next_sequence=1, token=None, capture_id=None, cert="client"):
        """A Resume on a new connection, and the first answer that counts."""
        conn = Wire(self.lab, self.pki, cert=cert)
        conn.send(wire.hello(), wire.resume(self.id if capture_id is None else capture_id,
                                            self.token if token is None else token, next_sequence))
        return (conn, *conn.receive_until(wire.STARTED))

    def is_there(self):
        """It goes on for who may have it; left behind lingering."""
        conn, number, fields = self.ask()
        assert number == wire.STARTED, wire.error_of(fields)
        assert fields[7] == [self.id] and fields.get(11, [0]) == [1]
        for sequence in (1, 2, 3):
            number, fields = conn.receive_until(wire.BATCH)
            assert number == wire.BATCH and fields[1] == [sequence]
        reset(conn.sock)


@pytest.fixture
def lingering(lab, agent, pki):
    made = Lingering(lab, pki)
    made.lose()
    return made


RESUMES = {
    "another_number": {"capture_id": 12345},
    "no_number": {"capture_id": 0},
    "another_token": {"token": bytes(32)},
    "half_a_token": {"token": bytes(16)},
    "no_token": {"token": b""},
    "a_long_token": {"token": bytes(33)},
    "a_huge_token": {"token": bytes(1 << 19)},
    "sequence_zero": {"next_sequence": 0},
    "a_sequence_from_the_future": {"next_sequence": 1000},
    "the_last_of_all_sequences": {"next_sequence": (1 << 64) - 1},
}


@pytest.mark.parametrize("name", sorted(RESUMES))
def test_a_resume_that_is_not_right_is_refused_and_harms_nothing(lab, agent, lingering, name):
    conn, number, fields = lingering.ask(**RESUMES[name])
    with conn:
        assert number == wire.ERROR
        code, text = wire.error_of(fields)
        assert code in (E_GONE, E_BADMSG, E_STATE, -6) and text
    assert agent.is_running()
    lingering.is_there()


def test_refusals_do_not_tell_a_stranger_what_there_is(lab, agent, lingering):
    """Another token, another number, another identity: the same words."""
    if not os.path.exists(lab.pki.path("stranger.pem")):
        lab.pki.capcert("client", "stranger")
    answers = set()
    for kwargs in ({"token": bytes(32)}, {"capture_id": 12345}, {"cert": "stranger"}):
        conn, number, fields = lingering.ask(**kwargs)
        conn.close()
        assert number == wire.ERROR
        answers.add(wire.error_of(fields))
    assert len(answers) == 1 and answers.pop()[0] == E_GONE
    lingering.is_there()


def test_what_was_acknowledged_is_not_given_again(lab, agent, pki):
    capture = Lingering(lab, pki)
    capture.conn.send(wire.ack(2), wire.envelope(wire.PING, wire.fixed64(1, 5)))
    capture.conn.receive_until(wire.PONG)
    capture.lose()
    for sequence in (1, 2):
        conn, number, fields = capture.ask(sequence)
        conn.close()
        assert number == wire.ERROR and wire.error_of(fields)[0] == E_GONE
    conn, number, fields = capture.ask(3)
    with conn:
        assert number == wire.STARTED and fields[11] == [3]
        assert conn.receive_until(wire.BATCH)[1][1] == [3]


@pytest.mark.parametrize("message", ["resume", "start"])
def test_a_second_beginning_on_a_connection_is_refused(lab, agent, pki, message):
    capture = Lingering(lab, pki)
    capture.conn.send(wire.resume(capture.id, capture.token, 1) if message == "resume"
                      else wire.start("cap0"))
    assert wire.error_of(capture.conn.drain())[0] == E_STATE


def test_the_newest_connection_counts(lab, agent, witness, pki):
    capture = Lingering(lab, pki)
    conn, number, _ = capture.ask()
    with conn:
        assert number == wire.STARTED
        # The one before is closed, not left to starve.
        capture.conn.drain()
        assert conn.receive_until(wire.BATCH)[1][1] == [1]
    witness.check()


def test_an_acknowledgement_of_what_never_came_leaves_nothing_to_resume(lab, agent, pki):
    capture = Lingering(lab, pki)
    capture.conn.send(wire.ack(1 << 40))
    assert wire.error_of(capture.conn.drain())[0] == E_STATE
    conn, number, fields = capture.ask()
    conn.close()
    assert number == wire.ERROR and wire.error_of(fields)[0] == E_GONE
    eventually(lambda: lab.net.promiscuity() == 0, 5, "end of the capture")


def test_an_acknowledgement_from_the_future_is_none_after_a_resume_either(lab, agent, lingering):
    """What was sent on the lost connection is not sent on this one yet, but was sealed."""
    conn, number, _ = lingering.ask()
    with conn:
        assert number == wire.STARTED
        conn.send(wire.ack((1 << 64) - 1))
        assert wire.error_of(conn.drain())[0] == E_STATE
    eventually(lambda: lab.net.promiscuity() == 0, 5, "end of the capture")


def test_a_storm_of_resumes_leaves_one_capture_and_no_descriptors(lab, agent, witness, lingering):
    before = len(os.listdir(f"/proc/{agent.net_pid}/fd"))
    conns = []
    for i in range(1000 if LONG else 40):
        conn, number, fields = lingering.ask()
        assert number == wire.STARTED, (i, wire.error_of(fields))
        conns.append(conn)
        if len(conns) > 5:
            conns.pop(0).close()
    for conn in conns:
        reset(conn.sock)
    assert lab.net.promiscuity() == 2, "the witness and this one"
    eventually(lambda: len(os.listdir(f"/proc/{agent.net_pid}/fd")) <= before + 1, 10,
               "end of the connections' descriptors")
    lingering.is_there()
    witness.check()


def test_resumes_that_stop_in_the_middle_hold_up_nobody(lab, agent, witness, lingering):
    """As many as an address may have, again and again; half of them refused at the door."""
    half = wire.resume(lingering.id, lingering.token, 1)[:20]
    held = []
    for _ in range(1000 if LONG else 150):
        try:
            conn = Wire(lab, lingering.pki, timeout=5)
            conn.send(wire.hello(), half)
            held.append(conn)
        except (OSError, ssl.SSLError):
            pass
        if len(held) >= 40:
            reset(held.pop(0).sock)
    witness.send()
    for conn in held:
        reset(conn.sock)
    eventually(lambda: len(lab.connections()) == 1, 15, "end of the halves")
    lingering.is_there()
    witness.check()


def test_a_flood_of_filter_updates_is_one_too_many(lab, agent, witness, pki):
    capture = Lingering(lab, pki)
    accept_all = wire.filter_of([(0x06, 0, 0, 65535)])
    capture.conn.send(b"".join(wire.update_filter(i + 1, [accept_all]) for i in range(1000)))
    assert wire.error_of(capture.conn.drain())[0] == E_STATE
    eventually(lambda: lab.net.promiscuity() == 1, 5, "end of the broken capture")
    witness.check()


def resident(pid):
    with open(f"/proc/{pid}/status", encoding="ascii") as f:
        return 1024 * int(re.search(r"VmRSS:\s+(\d+) kB", f.read()).group(1))


@pytest.mark.parametrize("does_read", [False, True])
def test_a_client_that_never_acknowledges_costs_its_log_and_no_more(lab, pki, does_read):
    """Neither reading nor acknowledging; then reading all, and never a word of thanks."""
    agent = lab.agent(conf="log-memory = 64MiB\nring-memory = 8MiB\n")
    options = wire.lingering(60000, 3600000, 8 << 20) + wire.field(7, 4 << 20)
    with Wire(lab, pki) as conn:
        conn.send(wire.hello(), wire.start_of([wire.request("cap0")], [wire.filter_of()], options))
        assert conn.receive_until(wire.STARTED)[0] == wire.STARTED
        before, most = resident(agent.net_pid), 0
        blast = lab.blast(60000, 1400, 20000)
        while blast.is_running():
            if does_read:
                conn.sock.recv(1 << 16)
            most = max(most, resident(agent.net_pid))
        most = max(most, resident(agent.net_pid))
    # The log, the ring, the socket's own buffer in user space, and some.
    assert most - before < (8 + 4 + 8) << 20, (most - before) >> 20
    assert most - before > 4 << 20, "nothing was kept"
