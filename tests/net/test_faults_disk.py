"""Disks that fill up, folders that vanish: the client waits, and its file stays whole."""
import os
import shutil

import pytest

import faults
from faultlab import LONG, LOST, Run, is_readable, none_lost, stay
from lab import eventually, run as run_program

MIB = 1 << 20
FULL = r"^capclient: .*No space left"
# A slow stream: the log holds what comes while nothing is written.
RATE, SIZE = 5000, 500
ARGS = ("--heartbeat", "2s", "--log-size", "256MiB")


def ballast(disk):
    return os.path.join(disk, "ballast")


def fill(disk):
    """Leave five MiB."""
    with open(ballast(disk), "wb") as f:
        f.write(bytes(59 * MIB))


def free(disk):
    os.unlink(ballast(disk))


@pytest.fixture
def disk(lab):
    """A file system of 64 MiB, nearly full."""
    path = lab.file("disk")
    os.mkdir(path)
    run_program("mount", "-t", "tmpfs", "-o", "size=64m", "tmpfs", path)
    fill(path)
    yield path
    for proc in reversed(lab.procs):
        proc.kill()
    run_program("umount", path)


def stands_still(path):
    """Wait until the file grows no more."""
    last = [-1]

    def is_same():
        size = os.path.getsize(path)
        is_still, last[0] = size == last[0], size
        stay(0.3)
        return is_still

    eventually(is_same, 20, "end of writing")


def test_a_disk_that_is_full_and_freed_again_loses_nothing(lab, agent, disk):
    def attempt():
        path = os.path.join(disk, "run.pcapng")
        if not os.path.exists(ballast(disk)):
            os.unlink(path)
            fill(disk)
        run = Run(lab, *ARGS, path=path, rate=RATE, size=SIZE)
        run.said(FULL, 60)
        stands_still(path)
        before = is_readable(lab, path)
        # Longer than any heartbeat: it waits for the disk, not for the line.
        stay(8 if LONG else 4)
        assert run.count_said(LOST) == 0, run.client.report()
        assert len(is_readable(lab, path).packets) == len(before.packets)
        free(disk)
        eventually(lambda: len(faults.File(path, True).packets) > len(before.packets) + 1000, 20,
                   "writing to go on")
        run.pass_by(5000)
        assert run.count_said(FULL) == 1, "the same is said again"
        return run.end(name="disk full, then free")

    none_lost(attempt)
    assert os.listdir(disk) == ["run.pcapng"], "a capture that is over is not to be resumed"


def test_a_disk_that_is_full_for_longer_than_the_log_lasts_is_counted(lab, agent, disk):
    path = os.path.join(disk, "run.pcapng")
    run = Run(lab, "--heartbeat", "2s", "--log-size", "2MiB", path=path, size=SIZE)
    run.said(FULL, 60)
    # The client, the sockets and the log hold less than 30 MB.
    run.pass_by(60000, 60)
    free(disk)
    run.pass_by(5000)
    verdict = run.end(name="disk full, small log")
    assert verdict.status == faults.LOST and not verdict.holes, verdict


def test_with_on_full_stop_the_capture_ends_and_the_rest_is_counted(lab, agent, disk):
    path = os.path.join(disk, "run.pcapng")
    run = Run(lab, *ARGS, "--on-full", "stop", path=path, rate=RATE, size=SIZE)
    status = run.client.wait(60)
    run.stream.stop()
    assert status == 7, run.client.report()
    run.said(FULL)
    ledger = faults.Ledger.of_lines(run.client.err.lines())
    packets = faults.File(path, may_be_cut=True).packets
    assert ledger.status == 7 and not ledger.is_complete
    assert ledger.total.written == len(packets)
    # From the first on, without a gap: what follows was not written.
    assert [p.number for p in packets] == list(range(len(packets)))
    assert ledger.total.lost > 0 or ledger.holes
    eventually(lambda: lab.net.promiscuity() == 0, 10, "end of the capture")


def test_a_client_killed_on_a_full_disk_goes_on_when_there_is_room(lab, agent, disk):
    run = Run(lab, *ARGS, path=os.path.join(disk, "run.pcapng"), rate=RATE, size=SIZE)
    run.said(FULL, 60)
    run.client.kill()
    is_readable(lab, run.path)
    free(disk)
    run.resume()
    run.pass_by(5000)
    verdict = run.end(name="killed on a full disk")
    assert verdict.status == faults.COMPLETE, verdict


def test_a_folder_that_is_removed_and_made_again_loses_nothing(lab, agent):
    def attempt():
        folder = lab.file("folder")
        os.mkdir(folder)
        run = Run(lab, *ARGS, path=os.path.join(folder, "run.pcapng"), rate=RATE, size=SIZE)
        run.pass_by(10000)
        shutil.rmtree(folder)
        run.said(r"^capclient: .*run\.pcapng", 30)
        run.pass_by(10000)
        os.mkdir(folder)
        eventually(lambda: os.path.exists(run.path), 20, "the file to come back")
        run.pass_by(10000)
        verdict = run.end(name="folder removed and made again")
        shutil.rmtree(folder)
        return verdict

    none_lost(attempt)
