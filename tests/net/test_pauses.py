"""Readers and clients that stop for a while: patience is not loss."""
import contextlib
import os
import re
import signal
import time

import pytest

import capfile
import frames
from lab import LONG, Proc, eventually, holds

# Longer than any timeout of TCP or of the two programs that must not strike.
READER_PAUSE = 25 if LONG else 6
CLIENT_PAUSE = 17 if LONG else 3
# More than the client and the sockets between hold: the agent has to wait too.
COUNT, SIZE, RATE = 20000, 1400, 20000


def numbers(path):
    return [frames.number_of(p.data) for p in capfile.read(path).packets]


def wait_stopped(pid):
    def is_stopped():
        with open(f"/proc/{pid}/stat", encoding="ascii") as f:
            return f.read().rsplit(")", 1)[1].split()[0] == "T"

    eventually(is_stopped, 5, "stop")


@contextlib.contextmanager
def stopped(*procs):
    for proc in procs:
        proc.signal(signal.SIGSTOP)
        wait_stopped(proc.pid)
    try:
        yield
    finally:
        for proc in procs:
            proc.signal(signal.SIGCONT)


class Reader(Proc):
    """cat, from a pipe into a file."""

    def __init__(self, lab, read_fd, path):
        with open(path, "wb") as f:
            super().__init__(lab, "cat", ["cat"], stdin=read_fd, stdout=f)


@pytest.fixture
def piped(lab, agent):
    """capclient ... -w - | cat > FILE: client, reader and file."""
    path = lab.file("read.pcapng")
    read_fd, write_fd = os.pipe()
    client = lab.client("-i", "cap0", "-w", "-", stdout=write_fd)
    os.close(write_fd)
    reader = Reader(lab, read_fd, path)
    os.close(read_fd)
    client.wait_listening()
    return client, reader, path


def fill(lab):
    assert lab.blast(COUNT, SIZE, RATE).wait(30) == 0


def test_a_reader_that_pauses_misses_nothing(lab, piped):
    client, reader, path = piped
    with stopped(reader):
        fill(lab)
        # The agent, too, waits for this reader.
        assert lab.connections()

        def is_patient(_):
            assert client.is_running(), client.report()

        holds(is_patient, READER_PAUSE)
    assert client.interrupt(30) == 0, client.err.text()
    assert reader.wait() == 0
    assert numbers(path) == list(range(COUNT))
    assert client.counts() == {"captured": COUNT, "received": COUNT, "dropped": 0}
    assert client.errors() == []


def test_a_reader_that_pauses_while_the_capture_ends_misses_nothing(lab, piped):
    """Interrupted first, read afterwards."""
    client, reader, path = piped
    with stopped(reader):
        fill(lab)
        client.signal(signal.SIGINT)

        def is_patient(_):
            assert client.is_running(), client.report()

        holds(is_patient, 5)
    assert client.wait(30) == 0, client.err.text()
    assert reader.wait() == 0
    assert numbers(path) == list(range(COUNT))


def test_a_suspended_client_captures_on(lab, agent):
    path = lab.file("a.pcapng")
    client = lab.capture("-i", "cap0", "-w", path)
    sender = lab.sender()
    packets = frames.numbered(300)
    sender.send(*packets[:100])
    with stopped(client):
        sender.send(*packets[100:200])

        def is_connected(_):
            assert len(lab.connections()) == 1

        holds(is_connected, CLIENT_PAUSE)

    # Awake for longer than it takes to notice how long it slept.
    def is_capturing(_):
        assert client.is_running(), client.report()

    holds(is_capturing, 5)
    sender.send(*packets[200:])
    assert client.interrupt() == 0, client.err.text()
    assert numbers(path) == list(range(300))
    assert client.errors() == []


def test_what_a_second_interrupt_throws_away_is_not_captured(lab, piped):
    """The file is what is in the pipe; everything else is counted as not written."""
    client, reader, path = piped
    with stopped(reader):
        fill(lab)
        client.signal(signal.SIGINT)

        def is_over():
            client.signal(signal.SIGINT)
            return not client.is_running()

        eventually(is_over, 5, "end at the second interrupt")
        assert client.wait() == 130, client.err.text()
    assert reader.wait() == 0
    with open(path, "rb") as f:
        there = f.read()
    captured = client.counts()["captured"]
    # What is there ends within a piece of 16 KiB behind the last packet counted.
    assert captured * SIZE < len(there) < (captured + 2) * (SIZE + 64) + 16384, captured
    assert captured < COUNT


def test_a_reader_that_never_reads_again_ends_the_client_in_time(lab, piped):
    """One SIGTERM is enough; what came and is not in the pipe is counted as not written."""
    client, reader, _ = piped
    with stopped(reader):
        fill(lab)
        client.signal(signal.SIGTERM)
        asked = time.monotonic()
        assert client.wait(25) == 7, client.err.text()
        assert time.monotonic() - asked > 5, "it did not wait for the reader"
        text = client.err.text()
        assert len(client.errors()) == 1 and "output" in client.errors()[0], text
        counts = client.counts()
        lost = re.findall(r"^(\d+) packets? received but not written", text, re.M)
        assert counts["captured"] + int(lost[0]) == counts["received"] == COUNT, text
        eventually(lambda: not lab.connections(), 5, "end of the connection")
