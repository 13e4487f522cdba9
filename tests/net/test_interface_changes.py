"""Interfaces that go down, come back, or go away while they are captured."""
import json
import os

import pytest

import capfile
import frames
from lab import eventually, holds

TICKS = os.sysconf("SC_CLK_TCK")


class Line:
    """One more line, from far0 on the generator to near0 on the sensor."""

    def __init__(self, lab):
        self.net = net = lab.net
        net.ip(net.gen, "link", "add", "far0", "type", "veth", "peer", "name", "near0",
               "netns", net.sensor)
        for ns, iface in ((net.gen, "far0"), (net.sensor, "near0")):
            net.sysctl(ns, f"net.ipv6.conf.{iface}.disable_ipv6", 1)
            net.ip(ns, "link", "set", iface, "up")
        self.wait_carrier()
        self._sender = lab.sender(iface="far0")

    def wait_carrier(self):
        """Before, what far0 sends goes nowhere."""
        eventually(lambda: self.net.link(self.net.gen, "far0")["operstate"] == "UP", 10,
                   "carrier of far0")

    def send(self, packets):
        self._sender.send(*packets)

    def set_down(self):
        self.net.ip(self.net.sensor, "link", "set", "near0", "down")

    def set_up(self):
        self.net.ip(self.net.sensor, "link", "set", "near0", "up")
        self.wait_carrier()

    def delete(self):
        self.net.ip(self.net.sensor, "link", "del", "near0")

    def move_away(self):
        self.net.ip(self.net.sensor, "link", "set", "near0", "netns", self.net.client)

    def close(self):
        """Wherever near0 is, it goes with its other end."""
        names = [link["ifname"] for link in json.loads(self.net.ip(self.net.gen, "-j", "link"))]
        if "far0" in names:
            self.net.ip(self.net.gen, "link", "del", "far0")


@pytest.fixture
def line(lab):
    made = Line(lab)
    yield made
    made.close()


def numbers(path, iface=0):
    return [frames.number_of(p.data) for p in capfile.read(path).packets if p.iface == iface]


def wait_written(path, count):
    """Until that many packets are in the file."""
    def is_written():
        try:
            return len(capfile.read(path).packets) >= count
        except capfile.Broken:
            return False

    eventually(is_written, 10, f"{count} packets in the file")


def cpu_seconds(pid):
    with open(f"/proc/{pid}/stat", encoding="ascii") as f:
        fields = f.read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


@pytest.mark.parametrize("how", [Line.delete, Line.move_away], ids=["deleted", "moved away"])
def test_a_capture_ends_when_its_interface_goes_away(lab, agent, line, how):
    path = lab.file("a.pcapng")
    client = lab.capture("-i", "near0", "-w", path)
    line.send(frames.numbered(20))
    wait_written(path, 20)
    how(line)
    client.err.wait(r"^capclient: .*'near0' (is gone|was moved to another)", 5)
    # It may be made again: the capture waits for ten seconds.
    assert client.wait(15) == 9
    assert "interface is gone" in client.err.text()
    assert numbers(path) == list(range(20))
    assert client.counts() == {"captured": 20, "received": 20, "dropped": 0}
    eventually(lambda: not lab.connections(), 5, "end of the connection")
    # Others are as well as before.
    assert lab.capture("-i", "cap0", "-w", lab.file("b.pcapng")).interrupt() == 0


@pytest.mark.parametrize("how", [Line.delete, Line.move_away], ids=["deleted", "moved away"])
def test_a_capture_goes_on_with_the_interfaces_that_are_left(lab, agent, line, how):
    path = lab.file("a.pcapng")
    client = lab.capture("-i", "near0", "-i", "cap0", "-w", path)
    line.send(frames.numbered(20))
    wait_written(path, 20)
    how(line)
    client.err.wait(r"^capclient: .*'near0' (is gone|was moved to another)", 5)
    lab.sender().send(*frames.numbered(30))
    assert client.interrupt() == 0, client.err.text()
    assert len(client.errors()) == 1, client.err.text()
    assert numbers(path, 0) == list(range(20))
    assert numbers(path, 1) == list(range(30))
    assert client.counts() == {"captured": 50, "received": 50, "dropped": 0}


def test_an_interface_that_was_down_is_captured_again(lab, agent, line):
    path = lab.file("a.pcapng")
    client = lab.capture("-i", "near0", "-w", path)
    packets = frames.numbered(30)
    line.send(packets[:10])
    wait_written(path, 10)
    line.set_down()
    client.err.wait(r"^capclient: .*'near0' is down", 5)
    line.set_up()
    # From the first packet on, not only after the client was told.
    line.send(packets[10:20])
    client.err.wait(r"^capclient: .*'near0' is up", 5)
    line.send(packets[20:])
    assert client.interrupt() == 0, client.err.text()
    assert len(client.errors()) == 2, client.err.text()
    assert numbers(path) == list(range(30))


@pytest.mark.parametrize("how", [Line.set_down, Line.delete], ids=["down", "gone"])
def test_an_interface_that_is_not_there_costs_no_time(lab, agent, line, how):
    client = lab.capture("-i", "near0", "-i", "cap0", "-w", lab.file("a.pcapng"))
    how(line)
    client.err.wait(r"^capclient: .*'near0' is (down|gone)", 5)
    pids = (agent.pid, agent.net_pid)
    before = [cpu_seconds(pid) for pid in pids]

    def is_idle(elapsed):
        for pid, then in zip(pids, before):
            used = cpu_seconds(pid) - then
            assert used <= 0.1 + 0.05 * elapsed, f"{pid}: {used} s of {elapsed:.1f} s"

    holds(is_idle, 4)
    assert client.interrupt() == 0


def test_a_capture_ends_when_an_interface_goes_that_was_down(lab, agent, line):
    client = lab.capture("-i", "near0", "-w", lab.file("a.pcapng"))
    line.set_down()
    client.err.wait(r"^capclient: .*'near0' is down", 5)
    line.delete()
    assert client.wait(15) == 9
    assert any("'near0' is gone" in text for text in client.errors()), client.err.text()
