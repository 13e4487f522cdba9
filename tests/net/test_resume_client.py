"""--resume, ends and sums as a user meets them: what goes on, what is refused, what is said."""
import json
import os
import shutil
import signal
import stat
import subprocess
import time

import jsonschema
import pytest

import capfile
import frames
from faultlab import ANEW, LOST, RESUMED, cut, reset, stopped, thin
from lab import TOP, eventually, holds

COMPLETE, REFUSED_OUTPUT, INCOMPLETE, LOST_FOR_GOOD, HOLE, TWICE = 0, 7, 8, 9, 11, 130


def numbers(path):
    return [frames.number_of(p.data) for p in capfile.read(path).packets]


def all_frames(count, start=0):
    return frames.numbered(start + count)[start:]


def size_at_least(path, count):
    """Enough bytes for so many of our frames."""
    return os.path.exists(path) and os.path.getsize(path) > count * 130


def sums_of(client):
    """The last JSON line."""
    lines = [line for line in client.err.lines() if line.startswith("{")]
    assert lines, client.err.text()
    return json.loads(lines[-1])


def ask(lab, path, *args, **kwargs):
    return lab.client("-i", "cap0", "-w", path, *args, **kwargs)


def begin(lab, path, *args, **kwargs):
    return lab.capture("-i", "cap0", "-w", path, *args, **kwargs)


def kill(client):
    client.signal(signal.SIGKILL)
    assert client.wait() == -signal.SIGKILL


# --- what is gone on with, and what is not ---

@pytest.mark.parametrize("is_empty", [False, True], ids=["no file", "an empty file"])
def test_with_nothing_to_resume_a_new_file_is_begun_and_it_is_said(lab, agent, is_empty):
    path = lab.file("a.pcapng")
    if is_empty:
        open(path, "wb").close()
    client = begin(lab, path, "--resume")
    assert client.err.wait(r"a\.pcapng': nothing to resume: begins anew")
    lab.sender().send(*frames.numbered(50))
    assert client.interrupt() == COMPLETE
    assert numbers(path) == list(range(50))


@pytest.mark.parametrize("is_emptied", [False, True], ids=["removed", "emptied"])
def test_a_file_that_was_taken_away_is_begun_anew(lab, agent, is_emptied):
    """Somebody moves it to another place, and leaves the record."""
    path = lab.file("a.pcapng")
    client = begin(lab, path, "--resume")
    lab.sender().send(*frames.numbered(20))
    assert client.interrupt() == COMPLETE
    os.rename(path, lab.file("b.pcapng"))
    if is_emptied:
        open(path, "wb").close()
    client = begin(lab, path, "--resume", "--json")
    assert client.err.wait(r"a\.pcapng': nothing to resume: begins anew")
    lab.sender().send(*frames.numbered(50))
    assert client.interrupt() == COMPLETE
    assert numbers(path) == list(range(50)) and sums_of(client)["total"]["written"] == 50


def test_a_file_without_a_record_is_not_ours(lab, agent):
    path = lab.file("a.pcapng")
    client = begin(lab, path)
    lab.sender().send(*frames.numbered(20))
    assert client.interrupt() == COMPLETE
    # An orderly end leaves nothing to go on with.
    assert not os.path.exists(path + ".resume")
    before = open(path, "rb").read()
    client = ask(lab, path, "--resume")
    assert client.wait() == REFUSED_OUTPUT
    assert len(client.errors()) == 1 and "not ours" in client.errors()[0], client.err.text()
    assert open(path, "rb").read() == before


def test_what_somebody_else_put_there_is_refused(lab, agent):
    path = lab.file("a.pcapng")
    client = begin(lab, path)
    lab.sender().send(*frames.numbered(20))
    eventually(lambda: size_at_least(path, 20), 10, "packets in the file")
    kill(client)
    other = lab.file("other")
    with open(other, "wb") as f:
        f.write(bytes(100000))
    os.rename(other, path)
    client = ask(lab, path, "--resume")
    assert client.wait() == REFUSED_OUTPUT
    assert len(client.errors()) == 1 and path in client.errors()[0], client.err.text()
    assert open(path, "rb").read() == bytes(100000)


@pytest.mark.parametrize("args", [("udp",), ("-s", "60"), ("-i", "mgmt0"), ("--headers-only",)],
                         ids=lambda args: args[0])
def test_another_command_does_not_go_on(lab, agent, args):
    path = lab.file("a.pcapng")
    client = begin(lab, path)
    lab.sender().send(*frames.numbered(20))
    eventually(lambda: size_at_least(path, 20), 10, "packets in the file")
    kill(client)
    before = open(path, "rb").read()
    client = ask(lab, path, "--resume", *args)
    assert client.wait() == REFUSED_OUTPUT
    assert len(client.errors()) == 1 and "another command" in client.errors()[0]
    assert open(path, "rb").read() == before


@pytest.mark.parametrize("args", [(), ("--resume",)], ids=["anew", "resumed"])
def test_a_file_that_a_running_client_writes_is_refused(lab, agent, args):
    path = lab.file("a.pcapng")
    running = begin(lab, path)
    second = ask(lab, path, *args)
    assert second.wait() == REFUSED_OUTPUT
    assert len(second.errors()) == 1 and "another capclient" in second.errors()[0]
    lab.sender().send(*frames.numbered(50))
    assert running.interrupt() == COMPLETE
    assert numbers(path) == list(range(50))


def test_the_record_is_nobody_elses_to_read(lab, agent):
    path = lab.file("a.pcapng")
    client = begin(lab, path)
    assert stat.S_IMODE(os.stat(path + ".resume").st_mode) == 0o600
    assert client.interrupt() == COMPLETE


@pytest.mark.parametrize("suffix", ["pcapng", "pcap"])
def test_a_killed_client_goes_on_in_both_formats(lab, agent, suffix):
    path = lab.file(f"a.{suffix}")
    sender = lab.sender()
    client = begin(lab, path)
    sender.send(*all_frames(300))
    eventually(lambda: size_at_least(path, 200), 10, "packets in the file")
    kill(client)
    sender.send(*all_frames(300, start=300))
    client = begin(lab, path, "--resume", "--json")
    assert client.err.wait(r"resumed behind its packet \d+$")
    sender.send(*all_frames(300, start=600))
    assert client.interrupt() == COMPLETE
    assert numbers(path) == list(range(900))
    sums = sums_of(client)
    assert sums["balanced"] and sums["complete"] and sums["total"]["written"] == 900
    assert sums["total"]["seen"] == 900
    # Asked for, so the next run may go on.
    assert os.path.exists(path + ".resume")


def test_a_run_goes_on_behind_one_that_ended_in_order(lab, agent):
    path = lab.file("a.pcapng")
    sender = lab.sender()
    client = begin(lab, path, "--resume")
    sender.send(*all_frames(100))
    assert client.interrupt() == COMPLETE
    client = begin(lab, path, "--resume", "--json")
    assert client.err.wait(r"resumed behind its packet 100: the capture begins anew")
    sender.send(*all_frames(100, start=100))
    assert client.interrupt() == HOLE
    capture = capfile.read(path)
    assert numbers(path) == list(range(200))
    # The statistics of the first run are cut, its interface is the same one.
    assert len(capture.interfaces) == len(capture.stats) == 1
    assert b"nothing was captured from" in capture.packets[100].comment
    assert b"capclient was not running" in capture.packets[100].comment
    sums = sums_of(client)
    assert [hole["reason"] for hole in sums["holes"]] == ["not_running"]
    assert sums["total"]["written"] == 200 and sums["balanced"] is True


def test_a_capture_is_resumed_by_its_own_identity_only(lab, agent, pki):
    pki.capcert("client", "mallory")
    path = lab.file("a.pcapng")
    sender = lab.sender()
    client = begin(lab, path)
    sender.send(*all_frames(100))
    eventually(lambda: size_at_least(path, 100), 10, "packets in the file")
    client.err.wait_end(0.3)  # and the record that covers them
    kill(client)
    # It has file and record, but not the certificate.
    client = begin(lab, path, "--resume", cert="mallory")
    sender.send(*all_frames(50, start=200))
    assert client.interrupt() == HOLE
    assert numbers(path) == [*range(100), *range(200, 250)]
    agent.err.wait(r"resume refused")


def test_a_record_that_says_nothing_costs_no_packet(lab, agent):
    """Whoever emptied it: the file holds packets."""
    path = lab.file("a.pcapng")
    client = begin(lab, path, "--resume")
    lab.sender().send(*frames.numbered(20))
    assert client.interrupt() == COMPLETE
    before = open(path, "rb").read()
    open(path + ".resume", "wb").close()
    client = ask(lab, path, "--resume")
    assert client.wait() == REFUSED_OUTPUT
    assert len(client.errors()) == 1 and "damaged" in client.errors()[0], client.err.text()
    assert open(path, "rb").read() == before


@pytest.mark.parametrize("end", [("-c", "50"), ("-a", "filesize:3")], ids=["count", "filesize"])
def test_what_is_complete_is_left_alone(lab, agent, end):
    path = lab.file("a.pcapng")
    client = begin(lab, path, "--resume", *end)
    lab.sender().send(*frames.numbered(50))
    assert client.wait() == COMPLETE
    before = open(path, "rb").read()
    for _ in range(2):
        client = ask(lab, path, "--resume", *end)
        assert client.wait() == COMPLETE
        assert "complete already" in client.errors()[0], client.err.text()
        assert open(path, "rb").read() == before


def test_what_is_no_file_is_not_resumed(lab, agent):
    client = ask(lab, "/dev/null", "--resume")
    assert client.wait() == REFUSED_OUTPUT
    assert len(client.errors()) == 1 and "no regular file" in client.errors()[0]


def test_the_reason_of_a_hole_is_the_agents(lab):
    """An agent that was away for longer than the linger, and one that waited for less."""
    path = lab.file("a.pcapng")
    agent = lab.agent()
    client = begin(lab, path, "--json", "--linger", "1s", "--heartbeat", "1s")
    agent.stop()
    client.err.wait("trying again", 20)
    holds(lambda _: None, 1.5)
    lab.agent()
    client.err.wait(ANEW, 20)
    client.signal(signal.SIGSTOP)
    eventually(lambda: lab.net.promiscuity() == 0, 20, "end of the linger")
    client.signal(signal.SIGCONT)
    client.err.wait(ANEW, 20, count=2)
    assert client.interrupt() == HOLE
    assert [hole["reason"] for hole in sums_of(client)["holes"]] == \
        ["agent_restarted", "linger_over"]
    # One interface, however often it began.
    assert len(capfile.read(path).interfaces) == 1


def test_a_capture_without_a_linger_keeps_its_interface(lab, agent):
    path = lab.file("a.pcapng")
    client = begin(lab, path, "--linger", "0")
    reset(lab, lab.net.client)
    client.err.wait(ANEW, 20)
    assert client.interrupt() == HOLE
    assert len(capfile.read(path).interfaces) == len(capfile.read(path).stats) == 1


def test_drops_of_the_kernel_are_told_where_they_are_noticed(lab, agent):
    path = lab.file("a.pcapng")
    client = begin(lab, path, "-B", "2M")
    with stopped(agent.net_pid):
        assert lab.blast(20000, 1000, 40000).wait(30) == 0
    client.err.wait(r"[\d,]+ packets dropped by the sensor's kernel", 20)
    lab.sender().send(*frames.numbered(1))
    assert client.interrupt() == INCOMPLETE
    comments = [p.comment for p in capfile.read(path).packets if p.comment]
    assert any(b"dropped by the sensor's kernel" in c for c in comments)


def test_a_count_is_that_of_the_whole_file(lab, agent):
    path = lab.file("a.pcapng")
    sender = lab.sender()
    client = begin(lab, path, "-c", "150")
    sender.send(*all_frames(100))
    eventually(lambda: size_at_least(path, 100), 10, "packets in the file")
    kill(client)
    client = begin(lab, path, "-c", "150", "--resume")
    sender.send(*all_frames(100, start=100))
    assert client.wait() == COMPLETE
    assert numbers(path) == list(range(150))
    assert client.counts()["captured"] == 150


def test_several_interfaces_keep_their_numbers(lab, agent):
    """One is made while the client is dead."""
    net = lab.net
    path = lab.file("a.pcapng")
    args = ("-i", "v*", "-i", "cap0", "-w", path)
    net.ip(net.sensor, "link", "add", "v0", "type", "veth", "peer", "name", "w0")
    for name in ("v0", "w0"):
        net.sysctl(net.sensor, f"net.ipv6.conf.{name}.disable_ipv6", 1)
        net.ip(net.sensor, "link", "set", name, "up")
    try:
        client = lab.capture(*args)
        lab.sender().send(*all_frames(100))
        eventually(lambda: size_at_least(path, 100), 10, "packets in the file")
        kill(client)
        net.ip(net.sensor, "link", "add", "v1", "type", "veth", "peer", "name", "w1")
        for name in ("v1", "w1"):
            net.sysctl(net.sensor, f"net.ipv6.conf.{name}.disable_ipv6", 1)
            net.ip(net.sensor, "link", "set", name, "up")
        client = lab.capture(*args, "--resume", "--json")
        client.err.wait(r"listening on .*:v1,")
        lab.sender(ns=net.sensor, iface="w1").send(*all_frames(50, start=500))
        lab.sender().send(*all_frames(100, start=100))
        assert client.interrupt() == COMPLETE
    finally:
        for name in ("v0", "v1"):
            subprocess.run(["ip", "-n", net.sensor, "link", "del", name], check=False,
                           stderr=subprocess.DEVNULL)
    capture = capfile.read(path)
    names = [i.options[2].decode().split(":")[1] for i in capture.interfaces]
    assert sorted(names) == ["cap0", "v0", "v1"] and len(capture.stats) == 3
    by_name = {name: [] for name in names}
    for packet in capture.packets:
        by_name[names[packet.iface]].append(frames.number_of(packet.data))
    assert by_name == {"cap0": list(range(200)), "v0": [], "v1": list(range(500, 550))}
    sums = sums_of(client)
    assert {i["name"].split(":")[1]: i["written"] for i in sums["interfaces"]} == \
        {"cap0": 200, "v0": 0, "v1": 50}


# --- while the connection is lost ---

def test_both_sides_notice_a_dead_line_within_six_seconds(lab, agent):
    """Nothing is sent, nothing is captured: only heartbeats tell."""
    client = begin(lab, lab.file("a.pcapng"))
    with cut(lab):
        start = time.monotonic()
        client.err.wait(LOST, 20)
        agent.err.wait(r"the client fell silent", 20)
        assert 3 < time.monotonic() - start < 8
    client.err.wait(RESUMED, 20)
    assert client.interrupt() == COMPLETE


def test_a_name_service_that_is_gone_with_the_line_delays_nothing(lab, agent):
    """The name resolves at the start only: later its server does not answer."""
    folder = f"/etc/netns/{lab.net.client}"
    os.makedirs(folder)
    # Nobody answers, and nobody says that there is nobody.
    lab.net.ip(lab.net.client, "neigh", "replace", "10.9.0.99", "lladdr", "02:00:00:00:01:77",
               "dev", "mgmt0")
    try:
        write(f"{folder}/hosts", "10.9.0.1 sensor1\n")
        write(f"{folder}/resolv.conf", "nameserver 10.9.0.99\noptions timeout:30 attempts:3\n")
        client = begin(lab, lab.file("a.pcapng"), "--heartbeat", "1s", sensor="sensor1")
        write(f"{folder}/hosts", "\n")
        with cut(lab):
            client.err.wait(LOST, 20)
        client.err.wait(RESUMED, 15)
        assert client.interrupt() == COMPLETE
    finally:
        lab.net.ip(lab.net.client, "neigh", "del", "10.9.0.99", "dev", "mgmt0")
        shutil.rmtree(folder)


def test_a_closed_connection_is_noticed_at_once(lab, agent):
    client = begin(lab, lab.file("a.pcapng"), "--heartbeat", "1h")
    reset(lab, lab.net.client)
    client.err.wait(LOST, 5)
    client.err.wait(RESUMED, 10)
    assert client.interrupt() == COMPLETE

def test_an_agent_that_is_restarted_in_order_is_found_again(lab):
    path = lab.file("a.pcapng")
    sender = lab.sender()
    agent = lab.agent()
    client = begin(lab, path, "--json")
    sender.send(*all_frames(100))
    agent.stop()
    client.err.wait(r"the agent ended the capture: the agent is ending: trying again")
    lab.agent()
    client.err.wait(ANEW, 20)
    sender.send(*all_frames(100, start=100))
    assert client.interrupt() == HOLE
    assert numbers(path) == list(range(200))
    sums = sums_of(client)
    assert [hole["reason"] for hole in sums["holes"]] == ["agent_restarted"]
    assert sums["total"]["seen"] == 200 and sums["balanced"] is True


def test_an_end_that_is_asked_for_without_a_connection_comes_and_can_be_gone_on_from(lab, agent):
    path = lab.file("a.pcapng")
    sender = lab.sender()
    client = begin(lab, path, "--heartbeat", "1s", "--json")
    sender.send(*all_frames(100))
    eventually(lambda: size_at_least(path, 100), 10, "packets in the file")
    with cut(lab):
        client.err.wait(LOST, 20)
        sender.send(*all_frames(100, start=100))
        assert client.interrupt(20) == LOST_FOR_GOOD
    sums = sums_of(client)
    assert [hole["reason"] for hole in sums["holes"]] == ["connection_lost"]
    assert numbers(path) == list(range(100))
    # The agent still has it.
    client = begin(lab, path, "--heartbeat", "1s", "--json", "--resume")
    assert client.interrupt() == COMPLETE
    assert numbers(path) == list(range(200))
    assert sums_of(client)["holes"] == []


def test_a_filter_that_is_changed_without_a_connection_comes_into_force_with_the_next(lab, agent):
    path, filter_file = lab.file("a.pcapng"), lab.file("filter")
    write(filter_file, "udp dst port 9")
    sender = lab.sender()
    client = begin(lab, path, "--filter-file", filter_file, "--heartbeat", "1s")
    sender.send(*frames.numbered(50))
    with cut(lab):
        client.err.wait(LOST, 20)
        write(filter_file, "udp dst port 10")
        client.signal(signal.SIGUSR2)
        sender.send(*frames.numbered(100)[50:])
    client.err.wait(RESUMED, 20)
    client.err.wait(r"filter changed to 'udp dst port 10'", 20)
    sender.send(*frames.numbered(150, dport=10)[100:], *frames.numbered(200)[150:])
    assert client.interrupt() == COMPLETE
    assert numbers(path) == list(range(150))


def write(path, text):
    with open(path, "w", encoding="ascii") as f:
        f.write(text)


# --- ends ---

def test_a_duration_ends_a_capture_in_order(lab, agent):
    path = lab.file("a.pcapng")
    client = begin(lab, path, "-a", "duration:1.5")
    lab.sender().send(*frames.numbered(100))
    assert client.wait(20) == COMPLETE
    assert numbers(path) == list(range(100))
    assert client.errors() == []


def test_a_duration_is_the_agents_too(lab, agent):
    """A client that is held still at its end finds the capture over."""
    path = lab.file("a.pcapng")
    client = begin(lab, path, "-a", "duration:2", "--heartbeat", "20s")
    lab.sender().send(*frames.numbered(100))
    eventually(lambda: size_at_least(path, 100), 10, "packets in the file")
    client.signal(signal.SIGSTOP)
    try:
        eventually(lambda: lab.net.promiscuity() == 0, 10, "end of the capture on the sensor")
    finally:
        client.signal(signal.SIGCONT)
    assert client.wait(20) == COMPLETE
    assert numbers(path) == list(range(100))


def test_a_file_ends_with_the_packet_that_fills_it(lab, agent):
    path = lab.file("a.pcapng")
    client = begin(lab, path, "-a", "filesize:20", "--json")
    lab.sender().send(*frames.numbered(500, size=1000))
    assert client.wait(20) == COMPLETE
    got = numbers(path)
    assert got == list(range(len(got)))
    # Statistics come behind it.
    assert 20000 <= os.path.getsize(path) < 20000 + 1100 + 400, os.path.getsize(path)
    sums = sums_of(client)
    assert sums["total"]["written"] == len(got) and sums["complete"] is True
    assert sums["total"]["seen"] == len(got) + sums["total"]["after_end"]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP], ids=lambda s: s.name)
def test_other_signals_end_a_capture_in_order_too(lab, agent, number):
    path = lab.file("a.pcapng")
    client = begin(lab, path)
    lab.sender().send(*frames.numbered(100))
    client.signal(number)
    assert client.wait(20) == COMPLETE, client.report()
    assert numbers(path) == list(range(100))


def test_packets_are_a_count(lab, agent):
    path = lab.file("a.pcapng")
    client = begin(lab, path, "-a", "packets:37")
    lab.sender().send(*frames.numbered(100))
    assert client.wait() == COMPLETE
    assert numbers(path) == list(range(37))


def test_a_second_interrupt_counts_what_it_does_not_wait_for(lab, agent):
    """The line is too thin for what the agent has: it says how much that is."""
    path = lab.file("a.pcapng")
    client = begin(lab, path, "--json")
    with thin(lab, "256kbit"):
        assert lab.blast(20000, 1000, 20000).wait(30) == 0
        # The first one waits for all of it, which takes minutes.
        client.signal(signal.SIGINT)
        client.err.wait_end(0.5)
        client.signal(signal.SIGINT)
        assert client.wait(10) == TWICE
    sums = sums_of(client)
    assert sums["balanced"] is True and sums["complete"] is False
    assert len(sums["holes"]) + sums["total"]["dropped_agent"]["interrupted"] > 0


# --- sums ---

def test_sums_come_as_often_as_asked_for_and_fit_the_schema(lab, agent):
    with open(os.path.join(TOP, "docs/ledger.schema.json"), encoding="utf-8") as f:
        schema = json.load(f)
    path = lab.file("a.pcapng")
    client = begin(lab, path, "--json", "--stats-interval", "200ms")
    lab.sender().send(*frames.numbered(100))
    client.err.wait(r'"event":"stats".*"written":100\b', 20)
    assert client.interrupt() == COMPLETE
    lines = [json.loads(line) for line in client.err.lines() if line.startswith("{")]
    for line in lines:
        jsonschema.validate(line, schema)
    assert [line["event"] for line in lines] == ["stats"] * (len(lines) - 1) + ["ended"]
    assert lines[-1]["exit_status"] == 0 and lines[-1]["total"]["written"] == 100
    # The closing lines are for people, who did not ask.
    assert not any("packets captured" in line for line in client.err.lines())


def test_without_json_counters_are_lines(lab, agent):
    client = begin(lab, lab.file("a.pcapng"), "--stats-interval", "200ms")
    client.err.wait(r"^capclient: 0 packets captured, 0 packets received by filter", 10, count=2)
    assert client.interrupt() == COMPLETE
    assert client.counts()["captured"] == 0


@pytest.mark.parametrize("args,hint", [
    (("--linger", "x"), "--linger 'x'"), (("--heartbeat", "0.5"), "1000 ms"),
    (("--log-size", "0"), "--log-size '0'"), (("--on-overflow", "none"), "drop-oldest"),
    (("--on-full", "ask"), "wait or stop"), (("-a", "files:3"), "-a 'files:3'"),
    (("--reconnect", "-1"), "--reconnect '-1'"),
])
def test_bad_values_are_told_in_one_line(lab, args, hint):
    client = ask(lab, lab.file("a.pcapng"), *args)
    assert client.wait() == 2
    assert len(client.errors()) == 1 and hint in client.errors()[0], client.err.text()


@pytest.mark.parametrize("args", [("-w", "-"), ("-w", "x.pcapng", "--split-by-linktype")],
                         ids=["stdout", "several files"])
def test_what_cannot_be_gone_on_with_is_refused(lab, args):
    client = lab.client("-i", "cap0", "--resume", *args, cwd=lab.dir)
    assert client.wait() == 2
    assert client.errors()[0].startswith("capclient: --resume: "), client.err.text()
