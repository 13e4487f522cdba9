"""--plan and -d: what a capture would do, and that it captures nothing."""
import re
import threading

import pytest

import frames
import wire
from lab import eventually, run
from test_any import lines

DUMP = re.compile(r"^(\d+) (\d+) (\d+) (\d+)$")


def plan(lab, *args):
    client = lab.client("--plan", *args)
    assert client.wait(20) == 0, client.report()
    return client.out.text()


def kernel_programs(lab, iface="cap0"):
    """The programs of packet sockets on an interface, as the kernel has them."""
    text = run("ip", "netns", "exec", lab.net.sensor, "ss", "-0", "-b", "-n", "src", f"*:{iface}")
    return [[tuple(int(x, 0) for x in insn.split())
             for insn in found.strip().strip(",").split(",")]
            for found in re.findall(r"bpf filter \(\d+\):(.*)", text)]


@pytest.mark.parametrize("args", [
    (), ("udp port 9",), ("vlan 100 and udp",), ("--exact-filter", "udp"),
    ("-Q", "in", "tcp"), ("--sample", "1/10", "-s", "96", "ip6"),
])
def test_the_plan_is_the_program_that_the_kernel_then_runs(lab, agent, args):
    client = lab.client("-ddd", "-i", "cap0", *args)
    assert client.wait() == 0
    lines = [tuple(map(int, DUMP.match(line).groups())) for line in client.out.lines()
             if DUMP.match(line)]
    assert len(lines) > 1
    capture = lab.capture("-i", "cap0", "-w", lab.file("a.pcapng"), *args)
    program, = kernel_programs(lab)
    # Without a mandatory filter, and with constant returns below its cap, the
    # privileged process has nothing to change.
    assert program == lines
    assert capture.interrupt() == 0


def test_a_plan_captures_nothing(lab, agent):
    text = plan(lab, "-i", "cap0", "-B", "8M")
    assert "EN10MB" in text and "own traffic" in text and "8 MiB" in text
    assert lab.net.promiscuity() == 0
    assert not kernel_programs(lab)


def test_a_listing_says_what_it_is_not(lab):
    lab.agent(conf="mandatory-filter = not port 80\n")
    client = lab.client("-i", "cap0", "-d", "ip6", "protochain", "6")
    assert client.wait() == 0
    assert "(000)" in client.out.text()
    assert "not all of the filter: all packets travel" in client.err.text()
    assert "mandatory filter runs first" in client.err.text()
    client = lab.client("-i", "cap0", "-d", "udp")
    assert client.wait() == 0 and "not all of the filter" not in client.err.text()


def test_blocks_of_a_ring_hold_what_the_interface_can_show(lab, agent):
    # Loopback makes packets of 64 KiB at most; veth takes what its peer made.
    assert "blocks of 128 KiB" in plan(lab, "-i", "lo")
    assert "blocks of 512 KiB" in plan(lab, "-i", "cap0")
    assert "blocks of 128 KiB" in plan(lab, "-i", "cap0", "-s", "96")


class Steady:
    """Sends frames until left, so that a plan has something to look at."""

    def __init__(self, lab, *sent):
        self.sender, self.sent, self.done = lab.sender(), sent, threading.Event()
        self.thread = threading.Thread(target=self._run, daemon=True)

    def _run(self):
        while not self.done.wait(0.01):
            self.sender.send(*self.sent)

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.done.set()
        self.thread.join()


UDP = frames.make("udp4", 100, (), bytes(100))
UDP_TAGGED = frames.make("udp4", 100, (100,), bytes(100))
ARP_TAGGED = frames.make("arp", 60, (100,), bytes(60))

TAGGED = "tagged traffic is present"


@pytest.mark.parametrize("sent,args,is_told", [
    (UDP_TAGGED, ("udp",), True),
    # The answer over a file would be the other way round.
    (ARP_TAGGED, ("not", "udp"), False),
    (UDP_TAGGED, ("not", "udp"), True),
    (UDP, ("udp",), False),
    (ARP_TAGGED, ("udp",), False),
    (UDP_TAGGED, ("--exact-filter", "udp"), False),
    (UDP_TAGGED, ("vlan 100 and udp",), False),
    (UDP_TAGGED, (), False),
])
def test_tagged_traffic_that_the_filter_would_judge_otherwise_is_told(lab, agent, sent, args,
                                                                     is_told):
    with Steady(lab, sent):
        text = plan(lab, "-i", "cap0", *args)
    assert (TAGGED in text) == is_told, text
    # What was opened to look is closed again, in both processes.
    eventually(lambda: not kernel_programs(lab), what="the plan's socket to close")
    assert lab.net.promiscuity() == 0


def test_a_connection_may_plan_first_and_then_list_and_capture(lab, agent):
    udp = [(0x28, 0, 0, 12), (0x15, 0, 1, 0x800), (6, 0, 0, 65535), (6, 0, 0, 0)]
    requests, filters = [wire.request("cap0")], [wire.filter_of(udp, text="ip")]
    with wire.Wire(lab, lab.pki) as w:
        w.send(wire.hello())
        assert w.receive()[0] == wire.HELLO
        w.send(wire.start_of(requests, filters, wire.field(17, 1)))
        assert w.receive()[0] == wire.PLAN
        w.send(wire.envelope(wire.LIST_REQUEST))
        assert w.receive()[0] == wire.INTERFACE_LIST
        w.send(wire.start_of(requests, filters))
        assert w.receive()[0] == wire.STARTED


def test_a_plan_of_many_interfaces_has_each_with_its_ring(lab, agent):
    text = plan(lab, "-i", "any", "-B", "64M", "udp")
    for name in ("lo", "cap0", "mgmt0"):
        assert f":{name}" in text, text
    assert len(re.findall(r"kernel ring +21(?: MiB|\d{3} KiB)", text)) == 3, text
    assert "down0" in text or "down1" in text


def test_a_plan_too_large_for_one_message_is_refused_with_what_to_do(lab, agent):
    tests = " or ".join(f"ether[{i % 200}] = {1 + i // 200}" for i in range(1500))
    with lines(lab, 50):
        client = lab.client("--plan", "-i", "any", "--exact-filter", tests)
        assert client.wait(60) == 4, client.report()
        assert re.search(r"plan: the programs of 5\d interfaces .* fewer interfaces",
                         client.err.text()), client.err.text()
        # What it advises works.
        assert "dm7" in plan(lab, "-i", "dm7", "--exact-filter", tests)


def test_a_plan_is_refused_as_the_capture_would_be(lab, agent):
    client = lab.client("--plan", "-i", "nosuch0")
    assert client.wait() == 5 and "nosuch0" in client.err.text()


def test_what_policy_takes_away_is_in_the_plan(lab):
    lab.agent(conf="promiscuous = no\nmax-snaplen = 128\nmandatory-filter = not port 22\n")
    text = plan(lab, "-i", "cap0", "-s", "1000")
    assert "promiscuous" in text and "mandatory filter runs first" in text and "128" in text
