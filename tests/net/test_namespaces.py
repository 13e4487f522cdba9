"""Captures in other network namespaces of the sensor: by name, and by a process in them."""
import contextlib
import os
import socket
import subprocess

import pytest

import capfile
import frames
from lab import Sender, eventually, run
from test_fidelity import differences
from test_interfaces import refused
from test_privileges import CAP_NET_RAW, capabilities, check_net, expected_user, status

CAP_NET_ADMIN, CAP_SYS_PTRACE, CAP_SYS_ADMIN = 1 << 12, 1 << 19, 1 << 21
COUNT = 200


class Room:
    """A namespace with inner0, whose other end outer0 is in the generator's."""

    def __init__(self, lab, suffix="x"):
        self.net, self.name = lab.net, f"{lab.net.sensor}{suffix}"
        run("ip", "netns", "add", self.name)
        self.net.ip(self.name, "link", "set", "lo", "up")
        self.net.ip(self.net.gen, "link", "add", "outer0", "mtu", "9000", "type", "veth",
                    "peer", "name", "inner0", "netns", self.name, "mtu", "9000",
                    "address", "02:00:00:00:00:02")
        for ns, iface in ((self.net.gen, "outer0"), (self.name, "inner0")):
            self.net.sysctl(ns, f"net.ipv6.conf.{iface}.disable_ipv6", 1)
            self.net.ip(ns, "link", "set", iface, "up")
        eventually(lambda: self.net.link(self.net.gen, "outer0")["operstate"] == "UP", 10,
                   "carrier")
        self.sender = Sender(self.net, iface="outer0")
        self.processes = []

    def process(self):
        """One that lives in it, of a user without privileges."""
        made = subprocess.Popen(["ip", "netns", "exec", self.name, "setpriv", "--reuid=nobody",
                                 "--clear-groups", "cat"], stdin=subprocess.PIPE,
                                stdout=subprocess.PIPE)
        # It answers once it is what it will be.
        made.stdin.write(b"x\n")
        made.stdin.flush()
        assert made.stdout.readline() == b"x\n"
        self.processes.append(made)
        return made

    def remove(self):
        subprocess.run(["ip", "netns", "del", self.name], check=False,
                       stderr=subprocess.DEVNULL)

    def close(self):
        self.sender.close()
        for process in self.processes:
            process.kill()
            process.communicate()
        with contextlib.suppress(AssertionError):  # it went with its namespace
            self.net.ip(self.net.gen, "link", "del", "outer0")
        self.remove()


@pytest.fixture
def room(lab):
    made = Room(lab)
    yield made
    made.close()


def sent():
    return [f.data for f in frames.mixed(COUNT)]


def where(room, kind):
    return f"netns:{room.name}" if kind == "name" else f"pid:{room.process().pid}"


@pytest.mark.parametrize("kind", ("name", "pid"))
def test_a_capture_in_another_namespace_is_tcpdumps_in_there(lab, room, kind):
    lab.agent(conf="namespaces = all\n")
    path, theirs, place = lab.file("a.pcapng"), lab.file("tcpdump"), where(room, kind)
    tcpdump = lab.tcpdump(theirs, "-c", str(COUNT), iface="inner0", ns=room.name)
    client = lab.capture("-i", f"{place}/inner0", "-w", path)
    room.sender.send_paced(sent(), 2000)
    assert tcpdump.wait(20) == 0
    assert client.interrupt() == 0
    ours = capfile.read(path)
    assert client.counts()["captured"] == COUNT
    assert differences(ours.records(), capfile.read(theirs).records()) == ""
    assert place in str(ours.interfaces[0][2]), ours.interfaces
    # Promiscuous mode ended inside, too.
    eventually(lambda: room.net.link(room.name, "inner0")["promiscuity"] == 0, 10, "promiscuity")


def test_one_capture_of_two_namespaces_and_their_patterns(lab, room):
    lab.agent(conf="namespaces = all\n")
    path = lab.file("a.pcapng")
    client = lab.capture("-i", "cap0", "-i", f"netns:{room.name}/inn*", "-w", path)
    lab.sender().send_paced(sent(), 2000)
    room.sender.send_paced(sent(), 2000)
    assert client.interrupt() == 0
    ours = capfile.read(path)
    for iface in (0, 1):
        assert [p.data for p in ours.packets if p.iface == iface] == sent()
    assert len(ours.interfaces) == 2


def test_any_of_a_namespace_is_all_of_it(lab, room):
    lab.agent(conf=f"namespaces = {room.name}\n")
    path = lab.file("a.pcapng")
    client = lab.capture("-i", f"netns:{room.name}/any", "-w", path)
    room.sender.send_paced(sent(), 2000)
    lab.sender().send(sent()[0])
    assert client.interrupt() == 0
    ours = capfile.read(path)
    assert [p.data for p in ours.packets] == sent()
    names = " ".join(str(iface[2]) for iface in ours.interfaces)
    assert "inner0" in names and "/lo" in names and "cap0" not in names


def test_the_list_has_the_permitted_namespaces(lab, room):
    agent = lab.agent(conf=f"namespaces = {room.name}\n")
    client = lab.client("-D")
    assert client.wait() == 0
    assert f"netns:{room.name}/inner0" in client.out.text()
    # Its own is not another one, and others are not permitted.
    assert f"netns:{lab.net.sensor}/" not in client.out.text()
    assert f"netns:{lab.net.gen}/" not in client.out.text()
    assert agent.stop() == 0


def packets_in(path):
    """Those so far."""
    try:
        return [p.data for p in capfile.read(path).packets]
    except capfile.Broken:
        return []


def talk(lab, ns, addr, port):
    """A connection to itself."""
    listening, client = (lab.net.socket(ns, socket.AF_INET, socket.SOCK_STREAM)
                         for _ in range(2))
    with listening, client:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind((addr, port))
        listening.listen()
        client.connect((addr, port))
        accepted, _ = listening.accept()
        with accepted:
            client.sendall(b"question")
            assert accepted.recv(16) == b"question"


def test_another_namespaces_loopback_is_not_the_agents_own(lab, room):
    """Also where somebody listens at the agent's address and port."""
    lab.agent(conf="namespaces = all\n")
    path = lab.file("a.pcapng")
    client = lab.capture("-i", f"netns:{room.name}/lo", "-w", path)
    for port in (9443, 9444):
        talk(lab, room.name, "127.0.0.1", port)

    def ports_that_talked():
        # Behind Ethernet and IPv4 headers.
        return {int.from_bytes(data[36:38], "big") for data in packets_in(path)
                if b"question" in data}

    eventually(lambda: ports_that_talked() == {9443, 9444}, 10, "both connections in the file")
    assert client.interrupt() == 0


def test_the_agents_stream_is_left_out_where_it_passes_another_namespace(lab):
    """Else a capture at the client's end would feed itself."""
    lab.agent(conf="namespaces = all\n")
    path = lab.file("a.pcapng")
    client = lab.capture("-i", f"netns:{lab.net.client}/mgmt0", "-w", path, "tcp or udp port 9")
    with lab.net.socket(lab.net.client, socket.AF_INET, socket.SOCK_DGRAM) as plain:
        for i in range(20):
            plain.sendto(bytes((i,)), ("10.9.0.1", 9))
    eventually(lambda: len(packets_in(path)) == 20, 10, "the packets in the file")
    assert client.interrupt() == 0
    assert [data[42:] for data in packets_in(path)] == [bytes((i,)) for i in range(20)]


def test_the_agents_own_namespace_by_its_name_is_itself(lab):
    lab.agent(conf="namespaces = all\n")
    path = lab.file("a.pcapng")
    client = lab.capture("-i", f"netns:{lab.net.sensor}/cap0", "-w", path)
    lab.sender().send_paced(sent(), 2000)
    assert client.interrupt() == 0
    assert [p.data for p in capfile.read(path).packets] == sent()


@pytest.mark.parametrize("conf", ("", "namespaces = none\n", "namespaces = pid\n",
                                  "namespaces = other*\n"))
def test_a_namespace_that_is_not_permitted(lab, room, conf):
    lab.agent(conf=conf)
    client = lab.client("-i", f"netns:{room.name}/inner0", "-w", lab.file("a.pcapng"))
    assert client.wait(20) in (4, 5)
    assert len(client.err.lines()) == 1 and room.name in client.err.text()
    if "pid" not in conf:
        refused(lab.client("-i", f"pid:{room.process().pid}/inner0", "-w",
                           lab.file("b.pcapng")), 4, "permit")


def test_interfaces_of_the_configuration_hold_in_every_namespace(lab, room):
    lab.agent(conf="namespaces = all\ninterfaces = cap*\n")
    client = lab.client("-i", f"netns:{room.name}/inner0", "-w", lab.file("a.pcapng"))
    assert client.wait(20) in (4, 5)
    assert "inner0" in client.err.text()


def test_what_does_not_exist(lab, room):
    lab.agent(conf="namespaces = all\n")
    for place in ("netns:nosuch/inner0", f"netns:{room.name}/nosuch0"):
        client = lab.client("-i", place, "-w", lab.file("a.pcapng"))
        assert client.wait(20) == 5, client.report()
        assert "nosuch" in client.err.text()
    process = room.process()
    process.kill()
    process.communicate()
    client = lab.client("-i", f"pid:{process.pid}/inner0", "-w", lab.file("a.pcapng"))
    assert client.wait(20) == 5, client.report()


def test_a_namespace_made_later_can_be_captured(lab):
    lab.agent(conf="namespaces = all\n")
    room = Room(lab, "later")
    try:
        path = lab.file("a.pcapng")
        client = lab.capture("-i", f"netns:{room.name}/inner0", "-w", path)
        room.sender.send_paced(sent(), 2000)
        assert client.interrupt() == 0
        assert [p.data for p in capfile.read(path).packets] == sent()
    finally:
        room.close()


@pytest.mark.parametrize("kind", ("name", "pid"))
def test_a_capture_ends_when_its_namespace_is_gone(lab, room, kind):
    """And the namespace with it: nothing of the agent's keeps it alive."""
    agent = lab.agent(conf="namespaces = all\n")
    path = lab.file("a.pcapng")
    client = lab.capture("-i", f"{where(room, kind)}/inner0", "-w", path)
    room.sender.send_paced(sent(), 2000)
    eventually(lambda: os.path.getsize(path) > 20000, 10, "packets in the file")
    for process in room.processes:
        process.kill()
        process.communicate()
    room.remove()
    assert client.wait(40) != 0
    assert len(capfile.read(path).packets) == COUNT
    # Its end of the line went with it, and so did ours.
    eventually(lambda: "outer0" not in run("ip", "-n", room.net.gen, "-br", "link"), 20,
               "end of the namespace")
    assert agent.is_running()


@pytest.mark.parametrize("conf,kept", (
    ("namespaces = none\n", 0),
    ("namespaces = blue\n", CAP_SYS_ADMIN),
    ("namespaces = pid\n", CAP_SYS_ADMIN | CAP_SYS_PTRACE),
    ("namespaces = all\n", CAP_SYS_ADMIN | CAP_SYS_PTRACE),
    ("hardware-timestamps = yes\n", CAP_NET_ADMIN),
))
def test_what_is_kept_is_what_is_configured(lab, conf, kept):
    agent = lab.agent(conf=conf)
    got = capabilities(agent.pid)
    assert got["CapEff"] == got["CapPrm"] == CAP_NET_RAW | kept, got
    assert got["CapInh"] == got["CapAmb"] == 0
    assert status(agent.pid)["Seccomp"] == "2"
    check_net(agent.net_pid, expected_user())
    has_names = "blue" in conf or "all" in conf
    # By what they are: their names depend on where this test's own root is.
    root = os.stat("/run" if has_names else "/")
    assert os.path.samestat(os.stat(f"/proc/{agent.pid}/root/"), root)


def test_without_the_capability_the_start_says_so(lab):
    conf = lab.file("c.conf")
    with open(conf, "w", encoding="ascii") as f:
        f.write("namespaces = all\n")
    os.chmod(conf, 0o644)
    done = subprocess.run(
        ["ip", "netns", "exec", lab.net.sensor, "setpriv", "--bounding-set=-sys_admin",
         os.path.join(lab.release, "server/capagent"), "-n", "--config", conf], check=False,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert done.returncode == 4, done
    assert "CAP_SYS_ADMIN" in done.stderr and "namespaces" in done.stderr
