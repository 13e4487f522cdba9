"""Into other programs: tshark, capinfos, Wireshark, and pipes that close."""
import os
import re
import signal
import subprocess
import time

import pytest

import capfile
import frames
from lab import TOP, Proc, eventually, run


UDP_ROW = "#DAEEFF"  # Wireshark's default colouring rules


def pipeline(lab, *reader, args=(), **kwargs):
    """capclient ... -w - | READER; both as processes."""
    read_fd, write_fd = os.pipe()
    client = lab.client("-i", "cap0", "-w", "-", *args, stdout=write_fd, **kwargs)
    os.close(write_fd)
    proc = Proc(lab, reader[0], list(reader), ns=lab.net.client, stdin=read_fd)
    os.close(read_fd)
    return client, proc


@pytest.mark.parametrize("suffix", ["pcapng", "pcap"])
def test_tshark_and_capinfos_read_the_file_without_complaint(lab, agent, suffix):
    path = lab.file(f"a.{suffix}")
    client = lab.capture("-i", "cap0", "-w", path)
    lab.sender().send_paced([f.data for f in frames.mixed(1000)], 8000)
    assert client.interrupt() == 0
    shown = subprocess.run(["tshark", "-r", path, "-n", "-T", "fields", "-e", "frame.number"],
                           stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, check=False)
    complaints = [line for line in shown.stderr.splitlines() if "Running as user" not in line]
    assert (shown.returncode, complaints) == (0, [])
    assert len(shown.stdout.split()) == 1000
    info = run("capinfos", "-M", path)
    assert re.search(r"Number of packets: *1000\b", info)
    assert re.search(r"File timestamp precision: *nanoseconds", info)
    assert re.search(r"Strict time order: *True", info)


def test_the_first_packet_on_an_idle_line_shows_within_a_second(lab, agent):
    client, tshark = pipeline(lab, "tshark", "-r", "-", "-l", "-n", "-c", "10")
    client.wait_listening()
    packets = frames.numbered(10)
    sender = lab.sender()
    sent = time.monotonic()
    sender.send(packets[0])
    tshark.out.wait(r"UDP", timeout=10)
    took = time.monotonic() - sent
    assert took < 1, f"{took:.2f} s"
    sender.send(*packets[1:])
    assert tshark.wait() == 0
    assert len(tshark.out.lines()) == 10
    # tshark has gone; nothing more is sent, and still it ends.
    assert client.wait(2) == 0


def test_a_reader_that_closes_ends_the_capture_on_an_idle_line_within_a_second(lab, agent):
    client = lab.client("-i", "cap0", "-w", "-", stdout=subprocess.PIPE)
    client.wait_listening()
    assert lab.net.promiscuity() == 1
    client.popen.stdout.close()
    closed = time.monotonic()
    assert client.wait(5) == 0
    eventually(lambda: lab.net.promiscuity() == 0, 5, "end of the capture on the sensor")
    assert time.monotonic() - closed < 1
    eventually(lambda: not lab.connections(), 5, "end of the connection")


@pytest.mark.parametrize("flags,kind", [((), "pcapng"), (("-F", "pcap"), "pcap")])
def test_the_header_comes_before_the_first_packet(lab, agent, flags, kind):
    client = lab.client("-i", "cap0", "-w", "-", *flags, stdout=subprocess.PIPE)
    client.wait_listening()
    os.set_blocking(client.popen.stdout.fileno(), False)
    blob = b""

    def header():
        nonlocal blob
        blob += client.popen.stdout.read() or b""
        try:
            return capfile.parse(blob)
        except capfile.Broken:
            return None

    got = eventually(header, 5, "header")
    assert (got.kind, got.packets, len(got.interfaces)) == (kind, [], 1)
    assert client.interrupt() == 0


def test_a_terminal_gets_no_packets(lab, agent):
    primary, secondary = os.openpty()
    client = lab.client("-i", "cap0", "-w", "-", stdout=secondary)
    os.close(secondary)
    assert client.wait() == 2
    assert "wireshark" in client.err.text()
    os.close(primary)


@pytest.fixture
def display(lab):
    """A screen of its own; the server says its number when it is ready."""
    read_fd, write_fd = os.pipe()
    server = Proc(lab, "Xvfb", ["Xvfb", "-displayfd", str(write_fd), "-screen", "0",
                                "1280x800x24", "-nolisten", "tcp"], pass_fds=(write_fd,))
    os.close(write_fd)
    with os.fdopen(read_fd, "rb") as f:
        number = f.readline().decode().strip()
    assert number, server.report()
    yield f":{number}"
    server.signal(signal.SIGTERM)


def test_wireshark_shows_packets_live_and_closing_it_ends_the_capture(lab, agent, display):
    # Closing asks whether to save what was captured, unless told not to.
    config = os.path.join(lab.home, ".config/wireshark")
    os.makedirs(config)
    with open(os.path.join(config, "preferences"), "w", encoding="ascii") as f:
        f.write("gui.ask_unsaved: FALSE\n")
    screen = {**os.environ, "DISPLAY": display}
    env = {"DISPLAY": display, "QT_QPA_PLATFORM": "xcb", "TMPDIR": lab.dir,
           "XDG_RUNTIME_DIR": lab.dir}
    # As a user types it, in a shell.
    command = (f"{lab.release}/client/capclient 10.9.0.1 -i cap0 -f udp -w - | "
               "wireshark -k -i -")
    env.update({"CAPCLIENT_CERT": lab.pki.path("client.pem"),
                "CAPCLIENT_KEY": lab.pki.path("client.key"),
                "CAPCLIENT_CA": lab.pki.path("ca.pem")})
    shell = Proc(lab, "shell", ["bash", "-c", command], ns=lab.net.client, env=env)
    shell.err.wait(r"^capclient: listening on ", 30)
    sender = lab.sender()
    sender.send(*frames.numbered(25))
    sender.send(frames.make("arp", 60, (), bytes(60)))
    path = shell.err.wait(r'File: "([^"]+)"', 60).group(1)

    def arrived():
        try:
            with open(path, "rb") as f:
                return len(capfile.parse(f.read()).packets) >= 25
        except (capfile.Broken, FileNotFoundError):
            return False

    eventually(arrived, 30, "packets in Wireshark's file")
    got = capfile.read(path).packets
    assert [frames.number_of(p.data) for p in got] == list(range(25))
    # The window itself: rows in the colour of UDP.
    os.makedirs(os.path.join(TOP, "build/results"), exist_ok=True)
    shot = os.path.join(TOP, "build/results/wireshark.png")

    def is_drawn():
        run("import", "-display", display, "-window", "root", shot)
        colours = run("convert", shot, "-format", "%c", "histogram:info:-")
        return any(int(line.split(":")[0]) > 20000 for line in colours.splitlines()
                   if UDP_ROW in line)

    eventually(is_drawn, 30, "Wireshark's window")
    window = run("xdotool", "search", "--onlyvisible", "--class", "wireshark", env=screen).split()
    run("xdotool", "windowfocus", "--sync", window[-1], "key", "ctrl+q", env=screen)
    ended = time.monotonic()
    eventually(lambda: lab.net.promiscuity() == 0, 10, "end of the capture on the sensor")
    assert time.monotonic() - ended < 5
    shell.wait(10)
    eventually(lambda: not lab.connections(), 5, "end of the connection")
    assert re.search(r"^25 packets captured$", shell.err.text(), re.M)

