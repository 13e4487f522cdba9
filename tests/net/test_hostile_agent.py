"""An agent that lies: the client ends or goes on, says why, and its file is whole.

Runs the client with address and undefined behaviour sanitizers, but where its
memory is measured.
"""
import json
import re
import signal
import threading

import pytest

import faults
import frames
import puppet
import wire
from faultlab import LONG, check_readers
from lab import eventually, holds
from puppet import NOW, RAW_IP, WHOLE
from wire import envelope, field

FAILED, REFUSED, CONNECTION_LOST, NOT_BALANCED = 1, 4, 9, 10
MAX64 = (1 << 64) - 1
TOKEN = bytes(range(32))
UDP = frames.numbered(20)
ESCAPES = "\x1b]0;owned\x07\x1b[31mred\x9b5n\x00\r\n\x08"
MIB = 1 << 20


@pytest.fixture
def villain(lab, pki):
    made = puppet.Puppet(lab, pki)
    yield made
    made.close()


def client_of(lab, *args, build=None):
    path = lab.file("a.pcapng")
    return lab.client("-i", "cap0", "-w", path, "--json", *args, build=build or lab.debug), path


def begin(lab, villain, *args, more=b"", build=None):
    """A capture that runs and has written its first batch of two packets."""
    client, path = client_of(lab, *(args or ("--reconnect", "0")), build=build)
    villain.accept()
    villain.send(puppet.started([puppet.interface("cap0")], more=more), puppet.batch(1, UDP[:2]))
    client.wait_listening()
    villain.wait_acked(1)
    return client, path


def speak(villain, *messages):
    """Say it, whether or not the client still listens."""
    try:
        villain.send(*messages)
    except OSError:
        pass


def end_if_asked(villain, counters, last):
    """The client may have had enough already."""
    try:
        villain.expect(wire.STOP)
    except (OSError, EOFError):
        return
    speak(villain, puppet.ended(counters, last))


def is_clean(client):
    """Nothing that a terminal would obey; every JSON line is one."""
    for line in client.err.lines():
        assert not re.search(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]", line), repr(line)
        if line.startswith("{"):
            json.loads(line)


def ended_of(client):
    events = [json.loads(line) for line in client.err.lines() if line.startswith("{")]
    ended = [e for e in events if e["event"] == "ended"]
    assert len(ended) == 1, client.report()
    return ended[0]


def check_end(client, path, statuses, packets=2):
    """It ended so, with one line that names the cause; its file holds what came before."""
    status = client.wait(30)
    assert status in statuses, client.report()
    is_clean(client)
    assert client.errors(), "it does not say why"
    assert ended_of(client)["exit_status"] == status
    assert [p.number for p in faults.File(path).packets] == list(range(packets))
    check_readers(path, packets)


def one(**counters):
    return [counters]


ALL = {"received": 2, "batched": 2}

LIES = {
    "a_batch_twice": puppet.batch(1, UDP[:2]),
    "a_batch_of_no_number": puppet.batch(0, UDP[:2]),
    "a_batch_left_out": puppet.batch(3, UDP[2:4]),
    "a_batch_from_the_far_end": puppet.batch(MAX64, UDP[2:4]),
    "a_batch_of_an_unknown_interface": puppet.batch(2, UDP[2:4], iface=7),
    "a_gap_that_goes_back": puppet.gap(2, 1, 5),
    "a_gap_over_what_came": puppet.gap(1, 2, 5),
    "a_gap_that_leaves_one_out": puppet.gap(3, 4, 5),
    "a_gap_to_the_end_of_numbers": puppet.gap(2, MAX64, 5),
    "a_gap_of_more_in_its_parts_than_in_all": puppet.gap(2, 2, 5, [6]),
    "a_gap_whose_parts_wrap": puppet.gap(2, 2, 5, [MAX64, 6]),
    "a_gap_of_unknown_interfaces": puppet.gap(2, 2, 5, [1] * 5000),
    "a_watermark_for_what_was_not_sent": puppet.watermark(9),
    "a_watermark_that_goes_back": puppet.watermark(1) + puppet.watermark(1, NOW - 1),
    "a_watermark_of_an_earlier_batch": puppet.watermark(1) + puppet.watermark(0, NOW + 1),
    "counters_of_two_interfaces": puppet.stats([ALL, ALL]),
    "counters_of_none": puppet.stats([]),
    "an_end_with_another_last_batch": puppet.ended(one(**ALL), 9),
    "an_end_with_no_batch": puppet.ended(one(**ALL), 0),
    "an_end_of_two_interfaces": puppet.ended([ALL, ALL], 1),
    "an_event_of_an_unknown_interface": puppet.event(2, "up", kind=2, iface=9),
    "an_event_before_what_came": puppet.event(1, "up", kind=2, iface=0),
    "an_interface_before_what_came": puppet.interface_added(puppet.interface("x", 9), 1),
    "a_filter_change_nobody_asked_for": puppet.filter_changed(1, 2, [0]),
    "started_twice": puppet.started([puppet.interface("cap0")]),
    "a_pong_of_nothing_and_a_hello": wire.hello(),
    "a_clients_message": wire.ack(1),
    "an_unknown_message": envelope(31, b"x"),
    "a_message_of_no_length": b"\0",
    "a_message_of_a_gigabyte": wire.varint(1 << 30),
    "a_length_without_end": b"\xff" * 20,
    "an_empty_envelope": wire.varint(2) + b"\x92\x01",
    "packets_without_bytes": envelope(wire.BATCH, field(1, 2) + field(2, 4096)),
    "a_batch_of_no_packets": puppet.batch(2, []),
}


@pytest.mark.parametrize("name", sorted(LIES))
def test_a_lie_ends_the_capture_and_the_file_is_whole_up_to_there(lab, villain, name):
    client, path = begin(lab, villain)
    speak(villain, LIES[name])
    check_end(client, path, (FAILED, CONNECTION_LOST))


@pytest.mark.parametrize("name", ["an_error", "a_host", "an_event", "notes", "an_end", "an_interface"])
def test_escape_sequences_never_reach_the_terminal(lab, villain, name):
    client, path = client_of(lab, "--reconnect", "0", "-v")
    hello = wire.envelope(wire.HELLO, field(1, 1) + field(2, "a" + ESCAPES.replace("\0", ""))
                          + field(3, "h" + ESCAPES.replace("\0", "")) + field(4, "o"))
    text = ESCAPES.replace("\0", "")
    villain.accept(hello=hello if name == "a_host" else None)
    iface = puppet.interface("cap0" + (text if name == "an_interface" else ""))
    villain.send(puppet.started([iface], notes=text if name == "notes" else ""),
                 puppet.batch(1, UDP[:2]))
    if name != "an_interface":
        villain.wait_acked(1)
    if name == "an_event":
        villain.send(puppet.event(2, text), puppet.event(2, text, kind=4, iface=0))
    if name == "an_end":
        speak(villain, envelope(wire.ENDED, field(1, puppet.sint(-18)) + field(2, text)
                                + field(3, puppet._stats([ALL])) + field(4, 1)))
    else:
        speak(villain, envelope(wire.ERROR, field(1, puppet.sint(-18)) + field(2, text)))
    client.wait(30)
    assert "owned" in client.err.text()
    is_clean(client)
    check_readers(path, 2)


def test_an_end_that_comes_twice_is_one(lab, villain):
    client, path = begin(lab, villain)
    client.signal(signal.SIGINT)
    villain.expect(wire.STOP)
    speak(villain, puppet.ended(one(**ALL), 1) * 2)
    assert client.wait(30) == 0, client.report()
    assert ended_of(client)["complete"]
    check_readers(path, 2)


# The capture ends in order, with numbers that cannot be.
ABSURD = {
    "more_in_gaps_than_there_is": (puppet.gap(2, 2, MAX64), ALL, 2),
    "everything_at_its_limit": (b"", dict.fromkeys(("received", "dropped_kernel", "batched",
                                                    "dropped_agent", "lost_packets"), MAX64), 1),
    "fewer_batched_than_came": (b"", {"received": 1, "batched": 1}, 1),
    "received_more_than_went_anywhere": (b"", {"received": 9, "batched": 2}, 1),
    "nothing_received": (b"", {}, 1),
}


@pytest.mark.parametrize("name", sorted(ABSURD))
def test_numbers_that_cannot_be_do_not_add_up(lab, villain, name):
    lies, counters, last = ABSURD[name]
    client, path = begin(lab, villain)
    villain.send(lies)
    client.signal(signal.SIGINT)
    end_if_asked(villain, [counters], last)
    check_end(client, path, (NOT_BALANCED,))
    assert ended_of(client)["balanced"] is False


# --- endless ---

def resident(client):
    """The most memory that a program has had, in bytes."""
    with open(f"/proc/{client.pid}/status", encoding="ascii") as f:
        return 1024 * int(re.search(r"VmHWM:\s+(\d+) kB", f.read()).group(1))


STORMS = {
    "pongs": (envelope(wire.PONG, wire.fixed64(1, 5)), 1000000),
    "counters": (puppet.stats([ALL]), 1000000),
    "watermarks": (puppet.watermark(1), 1000000),
    "announcements": (puppet.event(1 << 40, "interface 'cap0' is down", kind=1, iface=0), 1000000),
    "announcements_in_place": (puppet.event(2, "interface 'cap0' is up", kind=2, iface=0), 1000000),
    "long_announcements": (puppet.event(1 << 40, "x" * 1000, kind=8, iface=WHOLE), 100000),
}


@pytest.mark.parametrize("name", sorted(STORMS))
def test_a_storm_costs_bounded_memory_and_nobody_is_deaf(lab, villain, name):
    message, count = STORMS[name]
    client, path = begin(lab, villain, "--reconnect", "0", build=lab.release)
    before = resident(client)
    seen = [before]
    stop = threading.Event()

    def watch():
        while not stop.wait(0.05) and client.is_running():
            try:
                seen.append(resident(client))
            except (OSError, AttributeError):
                return

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        villain.sock.settimeout(60)
        for _ in range(count // 1000 if LONG else count // 4000):
            villain.send(message * 1000)
    except OSError:
        pass  # it had enough
    if client.is_running():
        client.signal(signal.SIGINT)
        end_if_asked(villain, one(**ALL), 1)
    client.wait(30)
    stop.set()
    watcher.join()
    is_clean(client)
    assert max(seen) - before < 64 * MIB, [s // MIB for s in seen]
    assert [p.number for p in faults.File(path).packets] == [0, 1]


def test_interfaces_without_end_are_refused(lab, villain):
    client, path = begin(lab, villain)
    speak(villain, b"".join(puppet.interface_added(puppet.interface(f"v{i}", i + 10), 2)
                            for i in range(5000)))
    check_end(client, path, (FAILED, CONNECTION_LOST))


# --- lies after a Resume ---

def lost_once(lab, villain, *args, build=None):
    """A capture whose connection is gone, and the Resume that came for it."""
    client, path = begin(lab, villain, *args, "--heartbeat", "2s",
                         more=puppet.resumable(77, TOKEN, heartbeat_ms=2000), build=build)
    villain.send(puppet.watermark(1))
    villain.hang_up()
    resume = villain.accept(wire.RESUME)
    assert resume[1] == [77] and resume[2] == [TOKEN] and resume[3] == [2], resume
    return client, path


def test_a_resume_that_is_answered_as_it_should_goes_on(lab, villain):
    """What the lies below do not hang on."""
    client, path = lost_once(lab, villain)
    villain.send(puppet.started([puppet.interface("cap0")], more=puppet.resumable(77, TOKEN, 2)),
                 puppet.batch(2, UDP[2:4]))
    villain.wait_acked(2)
    client.signal(signal.SIGINT)
    villain.end(one(received=4, batched=4), 2)
    assert client.wait(30) == 0, client.report()
    assert [p.number for p in faults.File(path).packets] == list(range(4))
    check_readers(path, 4)


def again(interfaces=None, next_sequence=2):
    interfaces = [puppet.interface("cap0")] if interfaces is None else interfaces
    return puppet.started(interfaces, more=puppet.resumable(77, TOKEN, next_sequence))


RESUMED_WRONG = {
    "batches_left_out": again(next_sequence=7),
    "batches_sent_again": again(next_sequence=1),
    "the_end_of_numbers": again(next_sequence=MAX64),
    "no_interface": again(interfaces=[]),
    "another_link_type": again([puppet.interface("cap0", link_type=RAW_IP)]),
    "another_interface": again([puppet.interface("cap1", index=9)]),
    "the_batch_before": again() + puppet.batch(1, UDP[:2]),
    "a_gap_over_what_is_written": again() + puppet.gap(1, 2, 3),
    "a_watermark_before_the_last": again() + puppet.watermark(1, NOW - 1),
}


@pytest.mark.parametrize("name", sorted(RESUMED_WRONG))
def test_a_resume_that_is_answered_with_a_lie_ends_the_capture(lab, villain, name):
    client, path = lost_once(lab, villain, "--reconnect", "5s")
    speak(villain, RESUMED_WRONG[name])
    check_end(client, path, (FAILED, CONNECTION_LOST))


def test_a_hole_never_ends_before_it_begins(lab, villain):
    """A watermark from the far future, then a capture that is gone."""
    client, path = begin(lab, villain, "--reconnect", "20s",
                         more=puppet.resumable(77, TOKEN, heartbeat_ms=2000))
    villain.send(puppet.watermark(1, (1 << 63) - 1))
    villain.hang_up()
    villain.accept(wire.RESUME)
    speak(villain, envelope(wire.ERROR, field(1, puppet.sint(-23)) + field(2, "gone")))
    villain.accept()
    villain.send(puppet.started([puppet.interface("cap0")], more=puppet.resumable(78, TOKEN)),
                 puppet.batch(1, UDP[2:4]))
    villain.wait_acked(1)
    client.signal(signal.SIGINT)
    villain.end(one(**ALL), 1)
    client.wait(30)
    is_clean(client)
    for hole in ended_of(client)["holes"]:
        assert faults.time_ns(hole["from"]) <= faults.time_ns(hole["to"]), hole
    assert ended_of(client)["holes"], "no hole"
    check_readers(path, 4)


def test_an_agent_that_hangs_up_again_and_again_is_not_asked_without_a_pause(lab, villain):
    client, _ = begin(lab, villain, "--reconnect", "60s", more=puppet.resumable(77, TOKEN))
    villain.hang_up()
    villain.listener.settimeout(0.2)
    accepted = 0

    def refuse(_):
        nonlocal accepted
        try:
            villain.listener.accept()[0].close()
            accepted += 1
        except TimeoutError:
            pass

    holds(refuse, 5)
    assert 1 <= accepted <= 30, accepted
    client.signal(signal.SIGINT)
    eventually(lambda: not client.is_running() or client.signal(signal.SIGINT), 10,
               "end of a client that is not connected")
    is_clean(client)


def test_an_agent_that_falls_silent_is_given_up(lab, villain):
    client, path = begin(lab, villain, "--reconnect", "0", "--heartbeat", "1s",
                         more=puppet.resumable(77, TOKEN, heartbeat_ms=1000))
    # It reads on, and says nothing.
    check_end(client, path, (CONNECTION_LOST,))
    assert villain.acked == 1
