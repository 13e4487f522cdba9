"""Outputs on disks that fill up and in directories that vanish: nothing is lost in silence."""
import os
import random
import re
import subprocess

import pytest

import capfile
import frames
from lab import RELEASE, eventually, run

FEED = os.path.join(RELEASE, "tests/sys/feed_outputs")
PATIENCE = 20


class Feed:
    """feed_outputs: commands in, what happened out."""

    def __init__(self, mode, path, on_full="wait", sync="lazy"):
        # pylint: disable=consider-using-with
        self.proc = subprocess.Popen([FEED, mode, str(path), on_full, sync], bufsize=0,
                                     stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        os.set_blocking(self.proc.stdout.fileno(), False)
        self.lines = []
        self.rest = ""

    def say(self, line):
        self.proc.stdin.write(line.encode() + b"\n")

    def look(self):
        if self.proc.stdout.closed:
            return
        text = self.rest + (self.proc.stdout.read() or b"").decode()
        *lines, self.rest = text.split("\n")
        self.lines += lines

    def count(self, start):
        self.look()
        return sum(line.startswith(start) for line in self.lines)

    def wait(self, start, n=1):
        """Until the n-th line that begins so; returns it."""
        eventually(lambda: self.count(start) >= n, PATIENCE, f"{start} after {self.lines}")
        return [line for line in self.lines if line.startswith(start)][n - 1]

    def end(self, timeout_ms=20000):
        self.say(f"end {timeout_ms}")
        line = self.wait("ended")
        assert self.proc.wait(PATIENCE) == 0
        return line

    def kill(self):
        self.proc.kill()
        self.proc.wait(PATIENCE)
        self.look()
        self.proc.stdin.close()
        self.proc.stdout.close()


@pytest.fixture
def start():
    """Start feeds that end with the test."""
    feeds = []

    def start_one(*args, **kwargs):
        feeds.append(Feed(*args, **kwargs))
        return feeds[-1]

    yield start_one
    for feed in feeds:
        feed.kill()


@pytest.fixture
def disk(needed, tmp_path):
    """A small file system."""
    path = tmp_path / "disk"
    path.mkdir()
    run("mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", str(path))
    yield path
    run("umount", "-l", str(path))


def numbers(path):
    return [frames.number_of(p.data) for p in capfile.read(str(path)).packets]


def fill_up(disk):
    """Nothing but the pages that files have already is left."""
    path = disk / "ballast"
    with open(path, "wb", buffering=0) as f:
        try:
            while True:
                f.write(bytes(4096))
        except OSError:
            return path


def is_whole(path):
    try:
        capfile.read(str(path))
    except capfile.Broken:
        return False
    return True


@pytest.mark.parametrize("sync", ("lazy", "fsync"))
def test_a_full_disk_is_waited_for_and_nothing_is_lost_or_doubled(start, disk, sync):
    path = disk / "x.pcapng"
    feed = start("new", path, sync=sync)
    feed.say("put 1000")
    feed.say("mark")
    feed.wait("marked")
    ballast = fill_up(disk)
    feed.say("put 3000")
    line = feed.wait("stalled")
    assert "'%s': write: No space left on device: waiting for space" % path in line
    # Whole blocks at every moment of waiting, also when it is tried again.
    for _ in range(20):
        assert is_whole(path)
    got = numbers(path)
    assert got == list(range(len(got))) and 1000 <= len(got) < 4000
    feed.say("mark")
    os.truncate(ballast, 0)
    feed.wait("recovered")
    feed.wait("marked", 2)
    # Full and freed again: said again.
    fill_up(disk)
    feed.say("put 1000")
    feed.wait("stalled", 2)
    os.truncate(ballast, 0)
    feed.wait("recovered", 2)
    assert feed.end() == "ended E_OK 5000 written, 0 and 0 not"
    assert numbers(path) == list(range(5000))
    assert len(capfile.read(str(path)).stats) == 2
    assert feed.count("stalled") == feed.count("recovered") == 2
    assert sorted(os.listdir(disk)) == ["ballast", "x.pcapng"]


def test_an_end_on_a_full_disk_says_what_is_missing(start, disk):
    path = disk / "x.pcapng"
    feed = start("new", path)
    feed.say("put 12000")
    feed.wait("stalled")
    line = feed.end(timeout_ms=100)
    match = re.fullmatch(r"ended E_NOSPACE (\d+) written, (\d+) and (\d+) not", line)
    assert match, line
    written, *missing = map(int, match.groups())
    got = numbers(path)
    assert got == list(range(written))
    submitted = written + sum(missing)
    for iface in range(2):
        assert missing[iface] == sum(n % 2 == iface for n in range(written, submitted))


def test_a_full_disk_ends_it_if_that_was_asked_for(start, disk):
    path = disk / "x.pcapng"
    feed = start("new", path, on_full="stop")
    feed.say("put 12000")
    assert "No space left on device" in feed.wait("error")
    assert is_whole(path)
    assert feed.count("stalled") == 0


def test_a_directory_that_comes_back_gets_everything(start, disk):
    folder = disk / "sub"
    folder.mkdir()
    path = folder / "x.pcapng"
    feed = start("new", path)
    feed.say("put 800")
    feed.say("mark")
    feed.wait("marked")
    run("rm", "-r", str(folder))
    assert "No such file or directory" in feed.wait("stalled")
    feed.say("put 200")
    feed.say("mark")
    folder.mkdir()
    feed.wait("recovered")
    feed.wait("marked", 2)
    feed.kill()
    assert numbers(path) == list(range(1000))
    assert feed.count("stalled") == feed.count("recovered") == 1
    # It is resumed as the file that it is now.
    feed = start("resume", path)
    feed.say("put 10")
    assert feed.end() == "ended E_OK 10 written, 0 and 0 not"
    assert numbers(path) == list(range(1010))
    assert os.listdir(folder) == ["x.pcapng"]


def test_a_removed_file_that_has_no_room_waits_for_it(start, disk):
    path = disk / "x.pcapng"
    feed = start("new", path)
    feed.say("put 5000")
    feed.say("mark")
    feed.wait("marked")
    # Its bytes are still there, and needed twice for a moment.
    os.unlink(path)
    assert "No space left on device" in feed.wait("stalled")
    assert not path.exists()
    run("mount", "-o", "remount,size=20m", str(disk))
    feed.wait("recovered")
    assert feed.end() == "ended E_OK 5000 written, 0 and 0 not"
    assert numbers(path) == list(range(5000))


@pytest.mark.parametrize("sync", ("lazy", "fsync"))
def test_killed_at_any_point_it_goes_on_without_a_duplicate(start, tmp_path, sync):
    path = tmp_path / "x.pcapng"
    chance = random.Random(4)
    mode = "new"
    for _ in range(15):
        feed = start(mode, path, sync=sync)
        feed.wait("ready")
        for _ in range(chance.randrange(1, 6)):
            feed.say(f"put {chance.randrange(1, 300)}")
            feed.say("mark")
        feed.wait("marked")
        # In the midst of whatever it does.
        feed.say(f"put {chance.randrange(1, 5000)}")
        feed.kill()
        mode = "resume"
    feed = start("resume", path)
    feed.say("put 5")
    assert feed.end().startswith("ended E_OK 5 written")
    got = numbers(path)
    assert got == list(range(len(got))) and len(got) > 15
    assert len(capfile.read(str(path)).stats) == 2
    assert os.listdir(tmp_path) == ["x.pcapng"]


def test_killed_while_it_waits_it_left_whole_blocks(start, disk):
    path = disk / "x.pcapng"
    feed = start("new", path)
    feed.say("put 500")
    feed.say("mark")
    feed.wait("marked")
    ballast = fill_up(disk)
    feed.say("put 1000")
    feed.wait("stalled")
    feed.kill()
    assert is_whole(path)
    os.unlink(ballast)
    feed = start("resume", path)
    feed.say("put 100")
    assert feed.end() == "ended E_OK 100 written, 0 and 0 not"
    assert numbers(path) == list(range(600))


def test_two_do_not_write_one_file(start, tmp_path):
    path = tmp_path / "x.pcapng"
    first = start("new", path)
    first.say("put 10")
    first.say("mark")
    first.wait("marked")
    for mode in ("new", "resume"):
        second = start(mode, path)
        assert "another capclient writes it" in second.wait("refused")
    first.say("put 10")
    assert first.end() == "ended E_OK 20 written, 0 and 0 not"
    assert numbers(path) == list(range(20))
    assert "there is no record" in start("resume", path).wait("refused")
