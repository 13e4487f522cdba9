"""Filters that change while packets flow: what is kept follows at once, nothing else is lost."""
import os
import signal
import threading

import pytest

import capfile
import frames
import wire
from lab import LONG

E_FILTER = -11
KERNEL, AGENT, CLIENT = 0, 1, 2
CHANGES = 100000 if LONG else 1000
CLASSES, FIRST_PORT, RATE = 4, 7000, 3000
NUMBER_AT, PORT_AT = 42, 36


def of_ports(*ports, at=PORT_AT):
    """A program for these UDP destination ports of untagged frames."""
    insns = [(0x28, 0, 0, at)]
    for i, port in enumerate(ports):
        left = len(ports) - i - 1
        insns.append((0x15, left, 0 if left else 1, port))
    return insns + [(0x06, 0, 0, 262144), (0x06, 0, 0, 0)]


def of_classes(*classes, **kwargs):
    return wire.filter_of(of_ports(*(FIRST_PORT + c for c in classes)), **kwargs)


class Traffic:
    """Numbered frames of all classes, one after the other, until it is stopped."""

    def __init__(self, lab, rate=RATE, size=100):
        self.sender = lab.sender()
        self.rate, self.size, self.count = rate, size, 0
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self):
        packets = [bytearray(frames.numbered(1, self.size, FIRST_PORT + c)[0])
                   for c in range(CLASSES)]
        while not self._end.wait(0.001):
            for _ in range(self.rate // 1000):
                frame = packets[self.count % CLASSES]
                frame[NUMBER_AT:NUMBER_AT + 4] = self.count.to_bytes(4, "big")
                self.sender.send(bytes(frame))
                self.count += 1

    def stop(self):
        self._end.set()
        self._thread.join(10)
        return self.count


def packed(body):
    """A packed column of varints."""
    values, value, shift = [], 0, 0
    for byte in body:
        value |= (byte & 0x7F) << shift
        shift += 7
        if not byte & 0x80:
            values.append(value)
            value = shift = 0
    return values


class Reader:
    """What a capture sends, packet by packet; checks each against the filter in force."""

    def __init__(self, sock):
        self.sock = sock
        self.sequence = 0
        self.number = 0                 # of the newest update
        self.got = {}                   # class -> numbers, in order
        self.answers = {}               # update -> (code, text, places)
        # Filters in force: from which batch on, their classes, what came of each.
        self.allowed = [(0, None, {})]
        self.wanted = None
        self.stats = None

    @property
    def coming(self):
        """The classes of an update that is not answered yet."""
        return set() if self.number in self.answers else self.wanted or set()

    def update(self, filters, classes):
        self.number += 1
        self.wanted = classes
        self.sock.send(wire.update_filter(self.number, filters))
        return self.number

    def _batch(self, fields):
        self.sequence += 1
        assert fields[1][0] == self.sequence
        lengths = packed(fields[5][0])
        data, at = fields[15][0], 0
        _, classes, epoch = [one for one in self.allowed if one[0] <= self.sequence][-1]
        for length in lengths:
            frame = data[at:at + length]
            at += length
            if len(frame) < NUMBER_AT + 4:
                continue
            kind = int.from_bytes(frame[PORT_AT:PORT_AT + 2], "big") - FIRST_PORT
            number = int.from_bytes(frame[NUMBER_AT:NUMBER_AT + 4], "big")
            # The kernel may have a filter before its answer is on the way.
            assert classes is None or kind in classes | self.coming, \
                f"class {kind} in batch {self.sequence}, where {classes} is in force"
            self.got.setdefault(kind, []).append(number)
            epoch.setdefault(kind, []).append(number)
        return len(lengths)

    def step(self):
        """Handle one message; its number."""
        number, fields = self.sock.receive()
        if number == wire.BATCH:
            self._batch(fields)
            if self.sequence % 64 == 0:
                self.sock.send(wire.envelope(wire.ACK, wire.field(1, self.sequence)))
        elif number == wire.FILTER_CHANGED:
            update, code = fields[1][0], wire.zigzag(fields.get(4, [0])[0])
            places = packed(fields[6][0]) if 6 in fields else []
            self.answers[update] = (code, fields.get(5, [b""])[0].decode(), places)
            if code == 0:
                sequence = fields[2][0]
                assert sequence > self.sequence, "the answer came behind its batch"
                self.allowed.append((sequence, self.wanted, {}))
        elif number in (wire.STATS, wire.ENDED):
            stats = fields if number == wire.STATS else wire.parse(fields[3][0])
            self.stats = [wire.parse(one) for one in stats.get(1, [])]
            self.lost = stats.get(2, [0])[0]
        assert number not in (wire.ERROR, wire.GAP), fields
        return number

    def until(self, wanted):
        while self.step() != wanted:
            pass

    def until_answer(self, update):
        while update not in self.answers:
            self.step()
        return self.answers[update]

    def end(self):
        """Stop; the final counters of interface 0."""
        self.sock.send(wire.envelope(wire.STOP))
        self.until(wire.ENDED)
        keys = {"received": 1, "dropped_kernel": 2, "batched": 4, "dropped_agent": 5,
                "dropped_filter_change": 6}
        return {name: self.stats[0].get(key, [0])[0] for name, key in keys.items()}


@pytest.fixture
def traffic(lab):
    """Begins when it is called."""
    made = []

    def begin(**kwargs):
        made.append(Traffic(lab, **kwargs))
        return made[-1]

    yield begin
    for one in made:
        one.stop()


@pytest.fixture
def start(lab, agent):
    """Begin a capture with these filters; gives a Reader."""
    socks = []

    def begin(filters, interfaces=("cap0",), classes=None, snaplen=65535, options=b""):
        sock = wire.Wire(lab, lab.pki, timeout=30)
        socks.append(sock)
        sock.send(wire.hello(), wire.start_of(
            [wire.request(name, snaplen) for name in interfaces], filters, options))
        assert sock.receive_until(wire.STARTED)[0] == wire.STARTED
        reader = Reader(sock)
        reader.allowed = [(0, classes, {})]
        return reader

    yield begin
    for sock in socks:
        sock.close()


def assert_no_hole(numbers, what):
    """Every CLASSES-th number, each once."""
    holes = [(a, b) for a, b in zip(numbers, numbers[1:]) if b != a + CLASSES]
    assert not holes, f"{what}: holes {holes[:5]}"


def assert_balanced(counts):
    assert counts["received"] == counts["dropped_kernel"] + counts["batched"] + \
        counts["dropped_agent"] + counts["dropped_filter_change"], counts


def rss_kib(pid):
    with open(f"/proc/{pid}/status", encoding="ascii") as f:
        return next(int(line.split()[1]) for line in f if line.startswith("VmRSS"))


def check_epochs(reader, sent):
    """Class 1 is in every filter: all of it. Others have holes where they were not wanted."""
    assert reader.got[1] == list(range(1, sent, CLASSES))
    assert 3 not in reader.got


def test_a_thousand_changes_lose_nothing_and_keep_nothing_old(lab, agent, start, traffic):
    reader = start([of_classes(0, 1)], classes={0, 1})
    flow = traffic()
    pids, before = (agent.pid, agent.net_pid), None
    for i in range(CHANGES):
        classes = {1, 2} if i % 2 == 0 else {0, 1}
        update = reader.update([of_classes(*sorted(classes))], classes)
        code, text, places = reader.until_answer(update)
        assert (code, places) == (0, [KERNEL]), text
        if i % 50 == 0:
            # Everything that was sent since, long enough to see a hole.
            first, kind = flow.count + 1, min({0, 2} & classes)
            came = reader.allowed[-1][2].setdefault(kind, [])
            while not came or came[-1] < first + 40 * CLASSES:
                reader.step()
            came = [number for number in came if number >= first]
            assert came[0] < first + CLASSES
            assert_no_hole(came, f"class {kind} of change {i}")
        if i == 100:
            before = [rss_kib(pid) for pid in pids]
    for pid, then in zip(pids, before):
        assert rss_kib(pid) < then + 1024
    sent = flow.stop()
    counts = reader.end()
    check_epochs(reader, sent)
    assert_balanced(counts)
    assert counts["batched"] == sum(map(len, reader.got.values()))
    assert (counts["dropped_kernel"], counts["dropped_agent"],
            counts["dropped_filter_change"], reader.lost) == (0, 0, 0, 0)


def test_changes_between_kernel_and_client_lose_nothing(lab, agent, start, traffic):
    """Where the client judges, all classes come; it knows from which batch on."""
    reader = start([of_classes(0, 1)], classes={0, 1})
    flow = traffic()
    for i in range(40):
        at_client = i % 2 == 0
        classes = None if at_client else {1, 2}
        filters = [of_classes(1, 2, at_client=int(at_client), text="x")]
        code, text, places = reader.until_answer(reader.update(filters, classes))
        assert (code, places) == (0, [CLIENT if at_client else KERNEL]), text
    sent = flow.stop()
    counts = reader.end()
    assert reader.got[1] == list(range(1, sent, CLASSES))
    # In the second of its two kinds of epochs class 2 was wanted all the time.
    assert_no_hole(reader.got[2], "class 2")
    assert_balanced(counts)


def of_tag(vid, size):
    """For frames of this VLAN as the file has them, in so many instructions."""
    test = [(0x28, 0, 0, 12), (0x15, 0, 3, 0x8100), (0x28, 0, 0, 14), (0x15, 0, 1, 0x6000 | vid),
            (0x06, 0, 0, 262144), (0x06, 0, 0, 0)]
    pad = [(0x01, 0, 0, 12)] + [(0x48, 0, 0, 2)] * (size - len(test))
    return wire.filter_of(pad + test, exact_vlan=1, text="x")


def test_changes_between_kernel_and_agent_keep_nothing_else(lab, agent, start):
    """Where the tagged copy does not fit the agent judges tagged packets, in step."""
    reader = start([of_tag(0, 10)])
    sender = lab.sender()
    packets = [frames.ethernet(0x0800, frames.ipv4(17, frames.udp(bytes(60))), (vid,))
               for vid in range(3)]
    seen = {}

    def step():
        """Handle one message; what tagged packets it held, by batch."""
        number, fields = reader.sock.receive()
        if number == wire.BATCH:
            reader.sequence += 1
            data, at = fields[15][0], 0
            for length in packed(fields[5][0]):
                tci = int.from_bytes(data[at + 14:at + 16], "big") & 0xFFF
                seen.setdefault(fields[1][0], []).append(tci)
                at += length
        return number, fields

    in_force = [(0, 0)]
    for i in range(60):
        vid, size = i % 3, 10 if i % 2 else 1200
        reader.number += 1
        sender.send(*packets * 5)
        reader.sock.send(wire.update_filter(reader.number, [of_tag(vid, size)]))
        sender.send(*packets * 5)
        number, fields = step()
        while number != wire.FILTER_CHANGED:
            number, fields = step()
        assert wire.zigzag(fields.get(4, [0])[0]) == 0, fields
        assert packed(fields[6][0]) == [KERNEL if size == 10 else AGENT]
        first = fields[2][0]
        in_force.append((first, vid))
        sender.send(*packets * 5)
        while sum(tags.count(vid) for batch, tags in seen.items() if batch >= first) < 5:
            step()
    reader.sock.send(wire.envelope(wire.STOP))
    while step()[0] != wire.ENDED:
        pass
    for sequence, tags in seen.items():
        vid = [vid for first, vid in in_force if first <= sequence][-1]
        assert set(tags) == {vid}, f"batch {sequence}: {set(tags)}, where {vid} is in force"


def test_a_filter_for_the_client_needs_whole_packets(lab, agent, start):
    """Begun with a short snapshot length, the kernel never gives more."""
    reader = start([of_classes(0)], classes={0}, snaplen=1000)
    code, text, _ = reader.until_answer(
        reader.update([of_classes(1, at_client=1, text="x")], None))
    assert code == E_FILTER and "snapshot length of 1000" in text, text


def test_a_change_reaches_every_interface(lab, agent, start, traffic):
    reader = start([of_classes(0), of_classes(0)], interfaces=("cap0", "lo", "mgmt0"), classes={0})
    flow = traffic()
    code, _, places = reader.until_answer(
        reader.update([of_classes(1), of_classes(2)], {1}))
    assert (code, places) == (0, [KERNEL] * 3)
    while len(reader.got.get(1, [])) < 50:
        reader.step()
    flow.stop()
    assert_balanced(reader.end())


def test_a_filter_that_is_refused_leaves_the_old_one(lab, agent, start, traffic):
    reader = start([of_classes(0, 1)], classes={0, 1})
    flow = traffic()
    backward = [(0x05, 0, 0, 0xFFFFFFFF), (0x06, 0, 0, 1)]
    for filters, word in (([wire.filter_of(of_ports(1), link_type=101, text="x")], "link type"),
                          ([wire.filter_of(backward)], "filter")):
        code, text, _ = reader.until_answer(reader.update(filters, {0, 1}))
        assert code == E_FILTER and word in text, text
    code, _, _ = reader.until_answer(reader.update([of_classes(1, 2)], {1, 2}))
    assert code == 0
    while len(reader.got.get(2, [])) < 50:
        reader.step()
    sent = flow.stop()
    counts = reader.end()
    check_epochs(reader, sent)
    assert_balanced(counts)


def test_what_was_cut_too_short_to_judge_is_counted(lab, agent, start, traffic):
    """The new filter reads a byte that the old one did not keep."""
    reader = start([of_classes(0, 1)], classes={0, 1}, snaplen=60)
    flow = traffic(rate=6000)
    # Byte 90 is the same in all frames.
    ports = of_ports(FIRST_PORT + 1)
    wanted = [(0x30, 0, 0, 90), (0x15, 0, len(ports) - 1, frames.numbered(1)[0][90])] + ports
    for i in range(30):
        filters, classes = (wire.filter_of(wanted), {1}) if i % 2 == 0 else \
            (of_classes(0, 1), {0, 1})
        code, text, _ = reader.until_answer(reader.update([filters], classes))
        assert code == 0, text
        seen = len(reader.got.get(1, []))
        while len(reader.got.get(1, [])) < seen + 20:
            reader.step()
    flow.stop()
    counts = reader.end()
    assert counts["dropped_filter_change"] > 0
    assert_balanced(counts)
    # What is missing of class 1 is what was counted, at most.
    missing = (reader.got[1][-1] - reader.got[1][0]) // CLASSES + 1 - len(reader.got[1])
    assert 0 < missing <= counts["dropped_filter_change"]


def test_new_addresses_bring_no_old_filter_back(lab, agent, start, traffic):
    """Own traffic is linked anew at each of them, in the midst of changes."""
    reader = start([of_classes(0, 1)], classes={0, 1})
    flow = traffic()
    for i in range(60):
        classes = {1, 2} if i % 2 == 0 else {0, 1}
        lab.net.ip(lab.net.sensor, "addr", "add" if i % 2 == 0 else "del", "10.77.0.1/32",
                   "dev", "mgmt0")
        code, text, _ = reader.until_answer(
            reader.update([of_classes(*sorted(classes))], classes))
        assert code == 0, text
    seen = len(reader.got[1])
    while len(reader.got[1]) < seen + 200:
        reader.step()
    sent = flow.stop()
    counts = reader.end()
    check_epochs(reader, sent)
    assert_balanced(counts)


def test_the_end_of_a_capture_waits_for_a_change_that_is_under_way(agent, start):
    for _ in range(20):
        reader = start([of_classes(0, 1)], classes={0, 1})
        reader.update([of_classes(1, 2)], {1, 2})
        assert_balanced(reader.end())
        reader.sock.close()
    assert os.path.exists(f"/proc/{agent.net_pid}")


def expression(*classes):
    return " or ".join(f"udp dst port {FIRST_PORT + c}" for c in classes)


def test_a_thousand_signals_change_the_filter_of_a_running_client(lab, agent, traffic):
    """The same through capclient: SIGUSR2 and a file, one after the other."""
    text = lab.file("filter")

    def write(*classes):
        with open(text, "w", encoding="ascii") as f:
            f.write(expression(*classes) + "\n")

    write(0, 1)
    path = lab.file("a.pcapng")
    client = lab.capture("-i", "cap0", "-w", path, "--filter-file", text)
    flow = traffic()
    pids, before = (agent.pid, agent.net_pid, client.pid), None
    for i in range(1000):
        write(*((1, 2) if i % 2 == 0 else (0, 1)))
        client.signal(signal.SIGUSR2)
        client.err.wait(r"filter changed to ", 10, count=i + 1)
        if i == 100:
            before = [rss_kib(pid) for pid in pids]
    for pid, then in zip(pids, before):
        assert rss_kib(pid) < then + 2048
    sent = flow.stop()
    assert client.interrupt(30) == 0, client.err.text()
    got = {}
    for packet in capfile.read(path).packets:
        kind = int.from_bytes(packet.data[PORT_AT:PORT_AT + 2], "big") - FIRST_PORT
        number = int.from_bytes(packet.data[NUMBER_AT:NUMBER_AT + 4], "big")
        got.setdefault(kind, []).append(number)
    assert got[1] == list(range(1, sent, CLASSES))
    assert 3 not in got
    assert got[0] and got[2]
    total = sum(map(len, got.values()))
    assert client.counts() == {"captured": total, "received": total, "dropped": 0}
