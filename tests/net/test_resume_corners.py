"""Captures that go on, where it is easily got wrong: by an agent that a test plays."""
import json
import os
import signal
import ssl
import subprocess
import time

import pytest

import capfile
import faults
import frames
import puppet
import wire
from faultlab import ANEW
from lab import eventually, holds
from wire import envelope, field

COMPLETE, REFUSED_OUTPUT, LOST_FOR_GOOD, HOLE, TWICE = 0, 7, 9, 11, 130
GONE = -23
IGNORE_UNEXPECTED_EOF = 1 << 7  # OpenSSL's SSL_OP_
CISCO_HDLC, USER0 = 104, 147
TOKEN = bytes(range(32))
UDP = frames.numbered(20)
BOTH = {"received": 2, "batched": 2}


@pytest.fixture
def villain(lab, pki):
    made = puppet.Puppet(lab, pki)
    yield made
    made.close()


def again(capture_id=77, next_sequence=0, announcements=0, update_number=0, interfaces=None,
          start=puppet.NOW):
    interfaces = interfaces or [puppet.interface("cap0")]
    return puppet.started(interfaces, more=puppet.resumable(capture_id, TOKEN, next_sequence,
                                                            announcements)
                          + field(13, update_number) + wire.fixed64(6, start))


def refuse(code):
    return envelope(wire.ERROR, field(1, puppet.sint(code)) + field(2, "not this one"))


def client_of(lab, path, *args):
    return lab.client("-i", "cap0", "-w", path, "--json", *args, build=lab.debug)


def begin(lab, villain, *args):
    """A capture that runs and has written its first batch of two packets."""
    path = lab.file("a.pcapng")
    client = client_of(lab, path, *args)
    villain.accept()
    villain.send(again(), puppet.batch(1, UDP[:2]))
    client.wait_listening()
    villain.wait_acked(1)
    return client, path


def kill(client):
    client.signal(signal.SIGKILL)
    assert client.wait() == -signal.SIGKILL


def begin_again(lab, villain, path, *args):
    """The run before was killed: this one goes on.  Its Resume too."""
    client = client_of(lab, path, "--resume", *args)
    resume = villain.accept(wire.RESUME)
    assert resume[1] == [77] and resume[2] == [TOKEN] and resume[3] == [2], resume
    return client, resume


def ended_of(client):
    lines = [json.loads(line) for line in client.err.lines() if line.startswith("{")]
    return [line for line in lines if line["event"] == "ended"][-1]


def numbers(path):
    return [frames.number_of(p.data) for p in capfile.read(path).packets]


# --- a capture that begins anew ---

def test_programs_that_only_the_second_capture_needs_are_sent(lab, villain):
    client, path = begin(lab, villain, "udp")
    villain.hang_up()
    villain.accept(wire.RESUME)
    villain.send(refuse(GONE))
    start = villain.accept()
    villain.send(puppet.need_programs([CISCO_HDLC]))
    assert len(b"".join(map(bytes, flat(villain.expect(wire.START))))) > \
        len(b"".join(map(bytes, flat(start))))
    villain.send(again(78), puppet.batch(1, UDP[2:4]))
    villain.wait_acked(1)
    client.signal(signal.SIGINT)
    villain.end([BOTH], 1)
    assert client.wait(30) == HOLE, client.report()
    assert numbers(path) == [0, 1, 2, 3]


def flat(fields):
    return [v for values in fields.values() for v in values if isinstance(v, bytes)]


@pytest.mark.parametrize("when", ["at once", "once it runs"])
def test_an_agent_that_has_no_capture_again_and_again_is_not_asked_without_a_pause(lab, villain,
                                                                                  when):
    client, _ = begin(lab, villain, "--reconnect", "60s")
    villain.hang_up()
    villain.accept(wire.RESUME)
    villain.send(refuse(GONE))
    villain.listener.settimeout(0.3)
    accepted = 0

    def refuse_again(_):
        nonlocal accepted
        try:
            villain.sock.close()
            villain.accept()
            accepted += 1
            villain.send(*([again(78 + accepted)] if when == "once it runs" else []), refuse(GONE))
        except (TimeoutError, OSError, EOFError, AssertionError):
            pass

    holds(refuse_again, 5)
    assert 1 <= accepted <= 15, accepted
    client.signal(signal.SIGINT)
    eventually(lambda: not client.is_running() or client.signal(signal.SIGINT), 10,
               "end of a client that is not connected")


# --- a client that is killed at once ---

def test_a_client_that_is_killed_before_its_first_packet_is_gone_on_with(lab, agent):
    path = lab.file("a.pcapng")
    for _ in range(3):
        client = lab.capture("-i", "cap0", "-w", path, "--resume")
        kill(client)
    client = lab.capture("-i", "cap0", "-w", path, "--resume")
    lab.sender().send(*frames.numbered(50))
    assert client.interrupt() in (COMPLETE, HOLE), client.report()
    assert numbers(path) == list(range(50))
    capture = capfile.read(path)
    assert len(capture.interfaces) == len(capture.stats) == 1


@pytest.mark.parametrize("record", [b"", b"capclient-rsm 1\0"], ids=["empty", "new"])
def test_a_client_that_is_killed_before_its_record_says_something_begins_anew(lab, agent, record):
    path = lab.file("a.pcapng")
    with open(path, "wb") as f:
        # Half a head.
        f.write(b"\x0a\x0d\x0d\x0a\x6c\0\0\0\x4d\x3c\x2b\x1a")
    with open(path + ".resume", "wb") as f:
        f.write(record)
    client = lab.capture("-i", "cap0", "-w", path, "--resume")
    assert client.err.wait(r"nothing to resume: begins anew")
    lab.sender().send(*frames.numbered(50))
    assert client.interrupt() == COMPLETE
    assert numbers(path) == list(range(50))


def test_a_record_that_is_damaged_leaves_the_file_alone(lab, agent):
    path = lab.file("a.pcapng")
    client = lab.capture("-i", "cap0", "-w", path, "--resume")
    lab.sender().send(*frames.numbered(50))
    assert client.interrupt() == COMPLETE
    size = os.path.getsize(path + ".resume")
    with open(path + ".resume", "r+b") as f:
        f.seek(16)
        f.write(bytes(size - 16))
    before = open(path, "rb").read()
    client = lab.client("-i", "cap0", "-w", path, "--resume")
    assert client.wait() == REFUSED_OUTPUT
    assert len(client.errors()) == 1 and "is damaged" in client.errors()[0], client.err.text()
    assert open(path, "rb").read() == before


# --- what a run before asked for, and heard ---

def test_changes_of_the_filter_are_numbered_over_runs(lab, villain):
    filter_file = lab.file("filter")
    with open(filter_file, "w", encoding="ascii") as f:
        f.write("udp")
    args = ("--filter-file", filter_file)
    client, path = begin(lab, villain, *args)
    kill(client)
    client, _ = begin_again(lab, villain, path, *args)
    villain.send(again(next_sequence=2, update_number=2))
    client.wait_listening()
    client.signal(signal.SIGUSR2)
    assert villain.expect(wire.UPDATE_FILTER)[1] == [3]
    # An answer that the run before did not live to see is not ours.
    villain.send(puppet.filter_changed(2, 2, [0]), puppet.filter_changed(3, 2, [0]))
    client.err.wait(r"filter changed to 'udp'")
    client.signal(signal.SIGINT)
    villain.end([BOTH], 1)
    assert client.wait(30) == COMPLETE, client.report()


def test_events_that_stand_in_the_file_are_not_asked_for_again(lab, villain):
    client, path = begin(lab, villain)
    # Both overtake; then the place of one has come.
    villain.send(puppet.event(3, "the first"), puppet.event(100, "the second"),
                 puppet.batch(2, UDP[2:4]), puppet.batch(3, UDP[4:6]))
    villain.wait_acked(3)
    kill(client)
    client = client_of(lab, path, "--resume")
    resume = villain.accept(wire.RESUME)
    assert resume[3] == [4] and resume[4] == [1], resume
    villain.send(again(next_sequence=4, announcements=9))
    client.err.wait(r"8 messages about events are missing here")
    client.signal(signal.SIGINT)
    villain.end([{"received": 6, "batched": 6}], 3)
    assert client.wait(30) == COMPLETE, client.report()
    with open(path, "rb") as f:
        assert b"8 messages about events are missing here" in f.read()


def wait_marked(villain, sequence, time_ns):
    """On a quiet line: a record says what there is by now."""
    for i in range(2):
        holds(lambda _: None, 0.6)
        villain.send(puppet.watermark(sequence, time_ns + i))
        villain.expect(wire.ACK)


def comment_of(path, number):
    return capfile.read(path).packets[number].comment


def test_what_was_to_be_said_beside_a_packet_is_said_by_the_next_run(lab, villain):
    client, path = begin(lab, villain)
    villain.send(puppet.event(2, "it was told before"))
    wait_marked(villain, 1, puppet.NOW)
    kill(client)
    client, resume = begin_again(lab, villain, path)
    assert resume[4] == [1], resume
    villain.send(again(next_sequence=2, announcements=1), puppet.batch(2, UDP[2:4]))
    villain.wait_acked(2)
    client.signal(signal.SIGINT)
    villain.end([{"received": 4, "batched": 4}], 2)
    assert client.wait(30) == COMPLETE, client.report()
    assert b"it was told before" in comment_of(path, 2)


def test_a_hole_is_said_in_its_place_by_the_next_run(lab, villain):
    client, path = begin(lab, villain)
    villain.hang_up()
    villain.accept(wire.RESUME)
    villain.send(refuse(GONE))
    villain.accept()
    villain.send(again(77))
    client.err.wait(ANEW, 10)
    wait_marked_anew(villain)
    kill(client)
    client = client_of(lab, path, "--resume")
    assert villain.accept(wire.RESUME)[3] == [1]
    villain.send(again(next_sequence=1), puppet.batch(1, UDP[2:4]))
    villain.wait_acked(1)
    client.signal(signal.SIGINT)
    villain.end([BOTH], 1)
    assert client.wait(30) == HOLE, client.report()
    assert b"nothing was captured from" in comment_of(path, 2)


def wait_marked_anew(villain):
    """As above; nothing came that would be acknowledged."""
    for i in range(2):
        holds(lambda _: None, 0.6)
        villain.send(puppet.watermark(0, puppet.NOW + i))
    holds(lambda _: None, 0.3)


def test_a_gap_at_the_end_is_said_by_the_next_run(lab, villain):
    """The statistics that have it are cut away."""
    client, path = begin(lab, villain, "--resume")
    villain.send(puppet.gap(2, 2, 5, [5]))
    client.signal(signal.SIGINT)
    villain.end([{"received": 7, "batched": 7}], 2)
    assert client.wait(30) == 8, client.report()
    client = client_of(lab, path, "--resume")
    villain.accept()
    villain.send(again(78), puppet.batch(1, UDP[2:4]))
    villain.wait_acked(1)
    client.signal(signal.SIGINT)
    villain.end([BOTH], 1)
    assert client.wait(30) == HOLE, client.report()
    packet = capfile.read(path).packets[2]
    assert b"5 packets missing here" in packet.comment
    assert packet.drops == 5
    sums = ended_of(client)
    assert sums["balanced"] and sums["total"]["dropped_agent"]["buffer"] == 5


# --- ends ---

@pytest.mark.parametrize("end", [("-c", "20"), ("-a", "filesize:1")], ids=lambda end: end[0])
def test_an_output_that_is_complete_is_complete_in_the_next_run(lab, agent, end):
    path = lab.file("a.pcapng")
    client = lab.capture("-i", "cap0", "-w", path, "--resume", *end)
    lab.sender().send(*frames.numbered(20))
    assert client.wait(20) == COMPLETE, client.report()
    got = numbers(path)
    # Nobody sends anything, and the agent is not asked.
    client = lab.client("-i", "cap0", "-w", path, "--resume", *end, sensor="10.9.0.1")
    assert client.wait(20) == COMPLETE, client.report()
    assert numbers(path) == got


def test_a_capture_that_ends_by_a_failure_here_is_not_complete(lab, villain):
    """An interface that is filtered here, of a kind whose headers nobody knows."""
    client, path = begin(lab, villain, "--headers-only", "--reconnect", "0")
    villain.send(puppet.interface_added(puppet.interface("cap1", 9, link_type=USER0, place=2), 2))
    assert client.wait(30) not in (COMPLETE, HOLE), client.report()
    ended = ended_of(client)
    assert ended["complete"] is False and ended["holes"], ended
    assert numbers(path) == [0, 1]


# --- numbers and sizes ---

@pytest.mark.parametrize("time", [-(1 << 63), -(1 << 63) + 5, (1 << 63) - 1])
def test_a_batch_of_any_time_is_written(lab, villain, time):
    client, path = begin(lab, villain, "--reconnect", "0")
    villain.send(puppet.batch(2, UDP[2:3], time_ns=time & ((1 << 64) - 1)))
    villain.wait_acked(2)
    client.signal(signal.SIGINT)
    villain.end([{"received": 3, "batched": 3}], 2)
    assert client.wait(30) == COMPLETE, client.report()


def test_more_interfaces_than_a_record_has_room_for_are_acknowledged_all_the_same(lab, villain):
    path = lab.file("a.pcapng")
    client = lab.client("-i", "any", "-w", path, "--json", "--reconnect", "0")
    villain.accept()
    many = [puppet.interface("x" * 240 + str(i), i + 10) for i in range(2500)]
    villain.send(again(interfaces=many), puppet.batch(1, UDP[:2]))
    villain.wait_acked(1)
    villain.send(puppet.batch(2, UDP[2:4]))
    villain.wait_acked(2)
    said = [line for line in client.err.lines() if "too many interfaces" in line]
    assert len(said) == 1, said
    kill(client)
    client = lab.client("-i", "any", "-w", path, "--resume")
    assert client.wait(30) == REFUSED_OUTPUT
    assert len(client.errors()) == 1 and "no room" in client.errors()[0], client.err.text()


# --- a second Ctrl-C ---

SLOW_SYNC = """
#define _GNU_SOURCE
#include <dlfcn.h>
#include <unistd.h>

int
fdatasync(int fd)
{
	usleep(60000);
	return ((int (*)(int))dlsym(RTLD_NEXT, "fdatasync"))(fd);
}
"""


@pytest.fixture
def slow_sync(lab):
    """A disk on which hardly a moment passes without a mark under way."""
    source, library = lab.file("slow.c"), lab.file("slow.so")
    with open(source, "w", encoding="ascii") as f:
        f.write(SLOW_SYNC)
    subprocess.run(["cc", "-shared", "-fPIC", "-o", library, source, "-ldl"], check=True)
    return {"LD_PRELOAD": library}


def test_what_stands_in_the_file_after_two_interrupts_stays_there(lab, villain, slow_sync):
    """The record's last word is not lost to the mark that is under way."""
    path = lab.file("a.pcapng")
    args = ("-i", "cap0", "-w", path, "--json", "--resume", "--fsync")
    client = lab.client(*args, env=slow_sync)
    villain.accept()
    villain.send(again(), puppet.batch(1, UDP[:2]))
    client.wait_listening()
    villain.wait_acked(1)
    client.signal(signal.SIGINT)
    villain.expect(wire.STOP)
    holds(lambda _: None, 0.4)
    # Marks are under way from here on; the second one comes in the midst of them.
    client.signal(signal.SIGINT)
    try:
        for n in range(2, 60):
            villain.send(puppet.batch(n, UDP[2:3]))
            holds(lambda _: None, 0.01)
    except OSError:
        pass  # it has ended
    assert client.wait(10) == TWICE, client.report()
    written = ended_of(client)["total"]["written"]
    assert len(capfile.read(path).packets) == written > 2
    # A run that finds the capture gone keeps them all.
    client = lab.client(*args)
    villain.accept()
    villain.send(again(78), puppet.batch(1, UDP[:2]))
    client.wait_listening()
    villain.wait_acked(1)
    client.signal(signal.SIGINT)
    villain.end([BOTH], 1)
    assert client.wait(30) == HOLE, client.report()
    assert len(capfile.read(path).packets) == written + 2


# --- what another run is to find ---

def test_a_capture_that_is_given_up_while_it_is_asked_for_is_not_ended(lab, villain):
    """The Resume is with the agent, which is slow to answer: it must not see an end."""
    client, _ = begin(lab, villain)
    # An end without close_notify is an error then.
    villain.context.options &= ~IGNORE_UNEXPECTED_EOF
    villain.hang_up()
    villain.accept(wire.RESUME)
    villain.sock.suppress_ragged_eofs = False
    client.signal(signal.SIGINT)
    with pytest.raises(ssl.SSLError, match="(?i)eof"):
        while True:
            villain.receive()
    assert client.wait(10) == LOST_FOR_GOOD, client.report()


def test_a_gap_on_a_quiet_line_is_acknowledged(lab, villain):
    """Its comment is in the record, and the hole behind it begins where it should."""
    client, path = begin(lab, villain)
    villain.send(puppet.gap(2, 2, 5, [5]))
    later = puppet.NOW + 3600 * 10**9
    wait_marked(villain, 2, later)
    assert villain.acked == 2
    kill(client)
    client = client_of(lab, path, "--resume")
    resume = villain.accept(wire.RESUME)
    assert resume[3] == [3], resume
    villain.send(refuse(GONE))
    villain.accept()
    villain.send(again(78, start=later + 10**9), puppet.batch(1, UDP[2:4]))
    villain.wait_acked(1)
    client.signal(signal.SIGINT)
    villain.end([BOTH], 1)
    assert client.wait(30) == HOLE, client.report()
    packet = capfile.read(path).packets[2]
    assert b"5 packets missing here" in packet.comment and packet.drops == 5
    assert faults.time_ns(ended_of(client)["holes"][0]["from"]) >= later


def test_stamps_of_another_clock_do_not_say_since_when_something_is_missing(lab, villain):
    client, _ = begin(lab, villain, "-j", "adapter_unsynced")
    villain.send(puppet.batch(2, UDP[2:4], time_ns=4 * puppet.NOW))
    villain.wait_acked(2)
    villain.send(puppet.watermark(2, puppet.NOW))
    villain.hang_up()
    villain.accept(wire.RESUME)
    villain.send(refuse(GONE))
    villain.accept()
    villain.send(again(78))
    client.err.wait(ANEW, 10)
    client.signal(signal.SIGINT)
    villain.end([{}], 0)
    assert client.wait(30) == HOLE, client.report()
    assert faults.time_ns(ended_of(client)["holes"][0]["from"]) == puppet.NOW


# --- clocks ---

@pytest.mark.parametrize("ahead", [-86400, -30, 0, 30, 86400])
def test_a_hole_is_as_long_as_the_outage_though_clocks_differ(lab, villain, ahead):
    """The client ends it, and its clock is not the sensor's."""
    client, _ = begin(lab, villain, "--reconnect", "0")
    sensor_time = time.time_ns() + ahead * 10**9
    villain.send(puppet.watermark(1, sensor_time))
    holds(lambda _: None, 1.5)
    villain.hang_up()
    assert client.wait(10) == LOST_FOR_GOOD, client.report()
    hole, = ended_of(client)["holes"]
    assert faults.time_ns(hole["from"]) == sensor_time
    length = faults.time_ns(hole["to"]) - sensor_time
    assert 1.5 <= length / 10**9 <= 4, length


def test_a_clock_that_is_set_back_hides_no_outage(lab, villain):
    client, _ = begin(lab, villain)
    villain.send(puppet.watermark(1, puppet.NOW + 3600 * 10**9))
    client.err.wait_end(0.5)
    villain.hang_up()
    villain.accept(wire.RESUME)
    villain.send(refuse(GONE))
    villain.accept()
    villain.send(again(78))
    client.err.wait(ANEW, 10)
    client.signal(signal.SIGINT)
    villain.end([{}], 0)
    assert client.wait(30) == HOLE, client.report()
    hole, = ended_of(client)["holes"]
    assert faults.time_ns(hole["to"]) == puppet.NOW
    assert 0.5 <= (puppet.NOW - faults.time_ns(hole["from"])) / 10**9 <= 5


# --- names without end ---

def test_an_agent_that_names_other_interfaces_each_time_comes_to_an_end(lab, villain):
    """Each capture that begins anew brings thousands that nobody has heard of."""
    path = lab.file("a.pcapng")
    client = lab.client("-i", "any", "-w", path, "--json")
    for i in range(4):
        villain.accept()
        villain.send(puppet.started([puppet.interface(f"v{i}-{n}", n + 1) for n in range(4096)]))
        villain.expect(wire.PING)
        assert client.is_running(), client.report()
        villain.hang_up()
    villain.accept()
    villain.send(puppet.started([puppet.interface("one more")]))
    assert client.wait(30) not in (COMPLETE, HOLE), client.report()
    assert "more than 16384 in one output" in client.err.text()
    assert len(capfile.read(path).interfaces) == 4 * 4096
