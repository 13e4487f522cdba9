"""50,000 packets a second arrive whole, and the counters add up always."""
import signal

import capfile
import frames
from lab import LONG

SECONDS = 30 if LONG else 10
RATE, SIZE = 50000, 512


def check_sums(client, path, count):
    """Every packet that was sent is in the file once, or counted; how many are not."""
    counts, text = client.counts(), client.err.text()
    numbers = [frames.number_of(p.data) for p in capfile.read(path).packets]
    lost = sum(int(line.split()[0]) for line in client.err.lines()
               if " lost " in line and line.split()[0].isdigit())
    assert counts["received"] == count, text
    assert counts["captured"] == len(numbers), text
    assert numbers == sorted(set(numbers)), "packets twice or out of order"
    assert count == len(numbers) + counts["dropped"] + lost, text
    return count - len(numbers)


def one_run(lab, name):
    """Returns how many of the packets are missing."""
    count = RATE * SECONDS
    path = lab.file(name)
    client = lab.capture("-i", "cap0", "-w", path)
    blast = lab.blast(count, SIZE, RATE)
    assert blast.wait(SECONDS * 3) == 0
    status = client.interrupt(30)
    missing = check_sums(client, path, count)
    assert (status == 0) == (missing == 0), f"status {status} with {missing} missing"
    return missing


def test_fifty_thousand_packets_a_second_are_all_written(lab, agent):
    # A shared machine may stop for a moment; twice in a row is ours.
    missing = one_run(lab, "first.pcapng")
    if missing:
        missing = one_run(lab, "second.pcapng")
    assert missing == 0


def test_a_ring_that_is_too_small_loses_and_says_so(lab):
    """A client held for the whole time: the losses are counted, the sums right."""
    lab.agent(conf="log-memory = 2MiB\nring-memory = 2MiB\n")
    path = lab.file("a.pcapng")
    client = lab.capture("-i", "cap0", "-w", path)
    client.signal(signal.SIGSTOP)
    blast = lab.blast(60000, 1000, 60000)
    assert blast.wait(30) == 0
    client.signal(signal.SIGCONT)
    status = client.interrupt(30)
    assert check_sums(client, path, 60000) > 0
    assert status == 8, client.err.text()
