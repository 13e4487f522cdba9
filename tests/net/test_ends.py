"""How captures end: by count, by signals, by the agent, a thousand times."""
import concurrent.futures
import os
import signal
import subprocess
import time

import pytest

import capfile
import frames
from lab import LONG, eventually, name_of
from wire import ERROR, HELLO, Wire, hello

CAPTURES = 10000 if LONG else 1000


def numbers(path):
    return [frames.number_of(p.data) for p in capfile.read(path).packets]


def test_interrupt_drains_what_was_sent_just_before(lab, agent):
    sender = lab.sender()
    for attempt in range(10):
        path = lab.file(f"{attempt}.pcapng")
        client = lab.capture("-i", "cap0", "-w", path)
        sender.send(*frames.numbered(200))
        assert client.interrupt() == 0
        assert numbers(path) == list(range(200))
        assert client.counts() == {"captured": 200, "received": 200, "dropped": 0}


def test_terminate_drains_too(lab, agent):
    path = lab.file("a.pcapng")
    client = lab.capture("-i", "cap0", "-w", path)
    lab.sender().send(*frames.numbered(200))
    client.signal(signal.SIGTERM)
    assert client.wait() == 0
    assert numbers(path) == list(range(200))


@pytest.mark.parametrize("attempt", range(5))
def test_a_capture_limited_by_timeout_ends_as_asked(lab, agent, attempt):
    """timeout(1) signals its child and then the whole group: one wish, not two."""
    sender = lab.sender()
    clients = [lab.client("-i", "cap0", "-w", lab.file(f"{i}.pcapng"),
                          prefix=("timeout", "--preserve-status", "1")) for i in range(2)]
    for client in clients:
        client.wait_listening()
    sender.send(*frames.numbered(200))
    for i, client in enumerate(clients):
        assert client.wait() == 0, client.err.text()
        assert numbers(lab.file(f"{i}.pcapng")) == list(range(200))


def test_an_impatient_user_ends_at_once_and_not_before(lab, agent):
    """With the agent held still nothing can be drained: the first interrupt waits."""
    client = lab.capture("-i", "cap0", "-w", lab.file("a.pcapng"))
    pids = [agent.net_pid, agent.pid]
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    try:
        # timeout(1) signals its child and the group: that is one wish.
        for _ in range(2):
            client.signal(signal.SIGINT)
            eventually(lambda: not is_pending(client.pid, signal.SIGINT), 5)
        assert client.is_running()

        def is_over():
            client.signal(signal.SIGINT)
            return not client.is_running()

        eventually(is_over, 2, "end at the second interrupt")
        assert client.wait() == 130
    finally:
        for pid in pids:
            os.kill(pid, signal.SIGCONT)
    assert capfile.read(lab.file("a.pcapng")).packets == []


def is_pending(pid, number):
    """False once the process has taken the signal."""
    with open(f"/proc/{pid}/status", encoding="ascii") as f:
        for line in f:
            if line.startswith(("ShdPnd:", "SigPnd:")) and \
                    int(line.split()[1], 16) >> (number - 1) & 1:
                return True
    return False


def test_count_is_exact(lab, agent):
    path = lab.file("a.pcapng")
    client = lab.capture("-i", "cap0", "-w", path, "-c", "37")
    lab.sender().send(*frames.numbered(500))
    assert client.wait() == 0
    assert numbers(path) == list(range(37))
    assert client.counts()["captured"] == 37
    eventually(lambda: lab.net.promiscuity() == 0, 5, "end of the capture on the sensor")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT],
                         ids=lambda number: number.name)
def test_ending_the_agent_ends_captures_in_order(lab, agent, number):
    path = lab.file("a.pcapng")
    client = lab.capture("-i", "cap0", "-w", path, "--reconnect", "0")
    lab.sender().send(*frames.numbered(300))
    start = time.monotonic()
    agent.signal(number)
    assert agent.wait() == 0
    assert time.monotonic() - start < 5
    # The user did not ask for this end: a line says why, and so does the status.
    assert client.wait() == 9
    assert len(client.errors()) == 1, client.err.text()
    assert "the agent ended the capture" in client.errors()[0]
    assert numbers(path) == list(range(300))
    assert client.counts() == {"captured": 300, "received": 300, "dropped": 0}


def test_the_agent_ends_in_time_whoever_hangs_on_it(lab, agent):
    """Clients that read nothing, that say nothing, and that began no capture."""
    stuck = [lab.capture("-i", "cap0", "-w", lab.file(f"{i}.pcapng"), "--reconnect", "0")
             for i in range(3)]
    for client in stuck:
        client.signal(signal.SIGSTOP)
    silent = [lab.net.connect(("10.9.0.1", 9443), 20) for _ in range(20)]
    with Wire(lab, lab.pki) as idle:
        idle.send(hello())
        assert idle.receive()[0] == HELLO
        # More than their sockets hold.
        assert lab.blast(30000, 1000, 60000).wait(30) == 0
        start = time.monotonic()
        agent.signal(signal.SIGTERM)
        assert agent.wait() == 0, agent.err.text()
        assert time.monotonic() - start < 5
        kind, fields = idle.receive()
        assert kind == ERROR and b"the agent is ending" in b"".join(
            value for value in fields[2] if isinstance(value, bytes))
    for sock in silent:
        sock.close()
    for client in stuck:
        client.signal(signal.SIGCONT)
        assert client.wait(20) != 0
        assert client.errors(), client.err.text()
    assert lab.net.promiscuity() == 0


def test_a_killed_agent_leaves_a_whole_file_and_its_own_status(lab, agent):
    before = packet_sockets(lab)
    path = lab.file("a.pcapng")
    client = lab.capture("-i", "cap0", "-w", path, "--reconnect", "0")
    lab.sender().send(*frames.numbered(100))
    eventually(lambda: len(whole(path)) == 100, 10, "packets in the file")
    os.kill(agent.net_pid, signal.SIGKILL)
    assert client.wait() == 9
    assert numbers(path) == list(range(100))
    assert len(client.errors()) == 1
    # The other half of the agent does not live on without it, and says why.
    assert agent.wait(5) == 1
    assert "capagent-net: ended by signal 9" in agent.err.text()
    assert lab.net.promiscuity() == 0
    assert packet_sockets(lab) == before


def whole(path):
    try:
        return capfile.read(path).packets
    except (capfile.Broken, FileNotFoundError):
        return []


def packet_sockets(lab):
    """How many there are on the sensor; each of ours has a ring."""
    text = subprocess.run(["ip", "netns", "exec", lab.net.sensor, "cat", "/proc/net/packet"],
                          check=True, stdout=subprocess.PIPE, text=True).stdout
    return len(text.splitlines()) - 1


def test_killing_the_privileged_half_ends_the_others(lab, agent):
    before, reread_pid = packet_sockets(lab), agent.reread_pid
    client = lab.capture("-i", "cap0", "-w", lab.file("a.pcapng"), "--reconnect", "0")
    net_pid = agent.net_pid
    agent.kill()
    eventually(lambda: not os.path.exists(f"/proc/{net_pid}"), 5, "end of capagent-net")
    eventually(lambda: name_of(reread_pid) == "", 5, "end of the reading process")
    assert client.wait() != 0
    eventually(lambda: lab.net.promiscuity() == 0, 5)
    eventually(lambda: packet_sockets(lab) == before, 5, "end of the capture sockets")


def test_a_killed_client_ends_its_capture_on_the_sensor(lab, agent):
    client = lab.capture("-i", "cap0", "-w", lab.file("a.pcapng"), "--linger", "0")
    assert lab.net.promiscuity() == 1
    client.kill()
    eventually(lambda: lab.net.promiscuity() == 0, 5, "end of the capture on the sensor")


def usage(pid):
    """Descriptors and resident kB of a process."""
    with open(f"/proc/{pid}/status", encoding="ascii") as f:
        rss = next(int(line.split()[1]) for line in f if line.startswith("VmRSS:"))
    return len(os.listdir(f"/proc/{pid}/fd")), rss


def one_capture(lab):
    """Starts, runs, and ends by its closed pipe."""
    client = subprocess.Popen(
        ["ip", "netns", "exec", lab.net.client, f"{lab.release}/client/capclient", "10.9.0.1",
         "-i", "cap0", "-w", "-"],
        env={"CAPCLIENT_CERT": lab.pki.path("client.pem"), "HOME": lab.home,
             "CAPCLIENT_KEY": lab.pki.path("client.key"), "CAPCLIENT_CA": lab.pki.path("ca.pem"),
             "PATH": os.environ["PATH"]},
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    got = client.stdout.read(28)
    client.stdout.close()
    return client.wait(20) == 0 and len(got) == 28


def test_a_thousand_captures_leave_nothing_behind(lab, agent):
    def captures(count):
        with concurrent.futures.ThreadPoolExecutor(2) as pool:
            return sum(pool.map(lambda _: one_capture(lab), range(count)))

    def settled():
        eventually(lambda: lab.net.promiscuity() == 0, 10, "promiscuity of the interface")
        eventually(lambda: not lab.connections(), 10, "end of all connections")
        return [usage(pid) for pid in (agent.pid, agent.net_pid)]

    # Allocators and libraries have their fill after some.
    assert captures(100) == 100
    before = settled()
    assert captures(CAPTURES - 100) == CAPTURES - 100
    after = settled()
    for name, (fds, kb), (fds_after, kb_after) in zip(("capagent", "capagent-net"), before, after):
        assert fds_after == fds, name
        assert kb_after <= kb + 1024, f"{name}: {kb} kB before, {kb_after} kB after"
