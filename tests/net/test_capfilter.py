"""capfilter: a file's packets as tcpdump, tshark and a live --exact-filter would choose them."""
import gzip
import os
import random
import re
import select
import signal
import struct
import subprocess

import pytest

import capfile
import exprs
import frames
import oddframes
import offline
from lab import DEBUG, RELEASE, TOP, eventually, run

TIMES = 1_700_000_000
MAGIC = {"us": 0xA1B2C3D4, "ns": 0xA1B23C4D}
EXPRESSIONS = ("tcp", "udp port 9", "vlan 100", "not vlan", "greater 1000", "ip6 protochain 17",
               "ether[12:2] = 0x8100", "arp or icmp", "1 << (ether[5] + 30) = 0", "")


def capfilter(*args, blob=None, build=RELEASE, **kwargs):
    return subprocess.run([os.path.join(build, "client/capfilter"), *map(str, args)], input=blob,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, check=False,
                          timeout=120, **kwargs)


def passed(*args, blob=None, **kwargs):
    """What it wrote, and nothing was wrong."""
    done = capfilter(*args, blob=blob, **kwargs)
    assert (done.returncode, done.stderr) == (0, b""), done.stderr
    return done.stdout


def failed(status, *args, blob=None, **kwargs):
    """The one line that it says, and what it wrote before."""
    done = capfilter(*args, blob=blob, **kwargs)
    assert done.returncode == status, done.stderr
    lines = done.stderr.decode().splitlines()
    assert len(lines) == 1 and lines[0].startswith("capfilter: "), lines
    return lines[0], done.stdout


# --- files to read ---


def pcap_head(order, unit, link=1):
    return struct.pack(order + "IHHiIII", MAGIC[unit], 2, 4, 0, 0, 262144, link)


def pcap_record(order, number, data):
    return struct.pack(order + "IIII", TIMES + number, number, len(data), len(data)) + data


def block(order, kind, body):
    body += bytes(-len(body) % 4)
    size = struct.pack(order + "I", 12 + len(body))
    return struct.pack(order + "I", kind) + size + body + size


def option(order, code, value):
    return struct.pack(order + "HH", code, len(value)) + value + bytes(-len(value) % 4)


def section(order):
    return block(order, 0x0A0D0D0A, struct.pack(order + "IHHq", 0x1A2B3C4D, 1, 0, -1) +
                 option(order, 4, b"a test") + option(order, 0, b""))


def interface(order, link, tsresol=9, snaplen=0):
    return block(order, 1, struct.pack(order + "HHI", link, 0, snaplen) +
                 option(order, 9, bytes((tsresol,))) + option(order, 0, b""))


def packet(order, number, data, direction=None, iface=0):
    options = option(order, 1, f"packet {number}".encode())
    if direction is not None:
        options += option(order, 2, struct.pack(order + "I", direction))
    return block(order, 6, struct.pack(order + "IIIII", iface, 1, number, len(data), len(data)) +
                 data + bytes(-len(data) % 4) + options + option(order, 0, b""))


def name_resolution(order):
    return block(order, 4, struct.pack(order + "HH", 1, 14) + bytes((192, 0, 2, 1)) +
                 b"host.test\0" + bytes(2) + struct.pack(order + "HH", 0, 0))


def secrets(order):
    return block(order, 10, struct.pack(order + "II", 0x544C534B, 5) + b"# key")


def statistics(order, iface=0):
    return block(order, 5, struct.pack(order + "III", iface, 1, 2) +
                 option(order, 4, struct.pack(order + "Q", 7)) + option(order, 0, b""))


def pending_of(pid):
    """Signals that were sent and not taken yet."""
    with open(f"/proc/{pid}/status", encoding="ascii") as f:
        return int(next(line for line in f if line.startswith("ShdPnd:")).split()[1], 16)


# --- the same as others ---


@pytest.mark.parametrize("unit", MAGIC)
@pytest.mark.parametrize("order", "<>")
def test_a_pcap_keeps_its_form_and_the_packets_that_libpcap_chooses(needed, order, unit):
    sent = [f.data for f in frames.mixed(200)]
    head = pcap_head(order, unit)
    whole = head + b"".join(pcap_record(order, i, d) for i, d in enumerate(sent))
    for text in EXPRESSIONS:
        chosen = offline.Filter(text)
        want = head + b"".join(pcap_record(order, i, d) for i, d in enumerate(sent)
                               if chosen.matches(d))
        assert passed(text, blob=whole) == want, text
        assert text == "" or len(head) < len(want) < len(whole) or text.startswith("1 <<"), text


def test_it_writes_the_file_that_tcpdump_writes(needed, tmp_path):
    source = tmp_path / "in.pcap"
    source.write_bytes(pcap_head("<", "ns") + b"".join(
        pcap_record("<", i, f.data) for i, f in enumerate(frames.mixed(200, seed=2))))
    for text in EXPRESSIONS:
        ours, theirs = tmp_path / "ours.pcap", tmp_path / "theirs.pcap"
        run("tcpdump", "-Z", "root", "-r", str(source), "-w", str(theirs),
            "--time-stamp-precision=nano", *([text] if text else []))
        passed("-r", source, "-w", ours, text)
        assert ours.read_bytes() == theirs.read_bytes(), text


def test_random_expressions_choose_what_libpcap_does(needed):
    seed = int(os.environ.get("CAPTEST_SEED", random.randrange(1 << 30)))
    print(f"CAPTEST_SEED={seed}")
    rng = random.Random(seed)
    terms = {name: make for name, make in {**exprs.TERMS, **exprs.TAG_TERMS}.items()
             if name not in exprs.VERY_SLOW}
    sent = [odd.data for odd in oddframes.make(rng, 150)]
    head = section("<") + interface("<", 1)
    blocks = [packet("<", i, data) for i, data in enumerate(sent)]
    split = 0
    for must in [*terms, *exprs.SHAPES] * 3:
        expr = exprs.choose(rng, must, terms, sent)
        want = [b for b, data in zip(blocks, sent) if expr.filter.matches(data)]
        assert passed(expr.text, blob=head + b"".join(blocks)) == head + b"".join(want), expr.text
        split += 0 < len(want) < len(blocks)
    assert split > 50


def test_it_answers_as_a_live_exact_filter_does(lab, agent):
    texts = ("tcp", "vlan", "udp and not vlan", "inbound and vlan 100", "outbound",
             "outbound and not tcp or arp", "ip6 protochain 17", "ether[14:2] & 0xfff = 100")
    sent = [f.data for f in frames.mixed(300, seed=3) if len(f.data) <= 1514]
    common = ("-i", "cap0", "-B", "8M", "-w")
    clients = [lab.capture(*common, lab.file(f"{i}.pcapng"), "--exact-filter", text)
               for i, text in enumerate(texts)]
    clients.append(lab.capture(*common, lab.file("all.pcapng")))
    lab.sender().send(*sent[::2])
    lab.sender(ns=lab.net.sensor, iface="cap0").send(*sent[1::2])
    for client in clients:
        assert client.interrupt() == 0
    everything = capfile.read(lab.file("all.pcapng"))
    assert len(everything.packets) == len(sent)
    for i, text in enumerate(texts):
        live = capfile.read(lab.file(f"{i}.pcapng"))
        ours = capfile.parse(passed("-r", lab.file("all.pcapng"), text))
        assert sorted(ours.packets) == sorted(live.packets), text
        assert 0 < len(live.packets) < len(sent), text
        assert ours.stats == everything.stats


# --- what pcapng has besides ---


@pytest.mark.parametrize("order", "<>")
def test_everything_but_the_other_packets_of_a_pcapng_passes_as_it_is(needed, order):
    tcp = frames.ethernet(0x0800, frames.ipv4(6, frames.tcp(b"x" * 33)))
    udp = frames.ethernet(0x0800, frames.ipv4(17, frames.udp(b"y" * 44)))
    raw = tcp[14:]
    other = "<" if order == ">" else ">"
    parts = [  # a block, and whether it stays
        (section(order), True), (interface(order, 1, 9), True), (secrets(order), True),
        (packet(order, 1, tcp), True), (packet(order, 2, udp), False),
        (interface(order, 101, 6), True), (packet(order, 3, raw, iface=1), True),
        (packet(order, 4, udp[14:], iface=1), False), (name_resolution(order), True),
        (packet(order, 5, tcp[:20]), False), (statistics(order), True),
        (section(other), True), (interface(other, 113, 0x94, 54), True),
        (block(other, 3, struct.pack(other + "I", 53 + 16) + bytes(14) + b"\x08\0" + raw[:38]),
         True),
        (block(other, 3, struct.pack(other + "I", 60) + bytes(14) + b"\x86\xdd" + raw[:38]),
         False),
        (block(other, 2, struct.pack(other + "HHIIII", 0, 0, 1, 2, 56, 60) + bytes(14) +
               b"\x08\0" + raw[:40]), True),
        (block(other, 0xBAD, struct.pack(other + "I", 32473) + b"custom"), True)]
    blob = b"".join(part for part, _ in parts)
    assert passed("tcp", blob=blob) == b"".join(part for part, stays in parts if stays)


def test_tshark_reads_what_is_left_of_a_merged_file(needed, tmp_path):
    sent = [f.data for f in frames.mixed(100, seed=4)]
    bare = [data[14:] for data in sent if data[12:14] == b"\x08\x00"]
    for name, link, packets in (("eth.pcap", 1, sent), ("raw.pcap", 101, bare)):
        (tmp_path / name).write_bytes(pcap_head("<", "us", link) + b"".join(
            pcap_record("<", i, data) for i, data in enumerate(packets)))
    keys = tmp_path / "keys"
    keys.write_text(f"CLIENT_RANDOM {'0' * 64} {'1' * 96}\n")
    run("mergecap", "-w", str(tmp_path / "both.pcapng"), str(tmp_path / "eth.pcap"),
        str(tmp_path / "raw.pcap"))
    run("editcap", "--inject-secrets", f"tls,{keys}", str(tmp_path / "both.pcapng"),
        str(tmp_path / "in.pcapng"))
    for text, display in (("udp port 9", "udp.port == 9"), ("ip6", "eth.type == 0x86dd"),
                          ("tcp", "tcp")):
        out = tmp_path / "out.pcapng"
        passed("-r", tmp_path / "in.pcapng", "-w", out, text)
        fields = ("-T", "fields", "-e", "frame.time_epoch", "-e", "frame.len",
                  "-e", "frame.interface_id", "-e", "ip.id")
        display += " and not vlan"   # libpcap's words do not look behind a tag
        want = run("tshark", "-n", "-r", str(tmp_path / "in.pcapng"), "-Y", display, *fields)
        assert run("tshark", "-n", "-r", str(out), *fields) == want
        assert want.count("\n") > 3
        assert secrets("<")[:4] in out.read_bytes()


def test_a_direction_is_that_of_the_packet_or_an_error(needed):
    data = frames.numbered(1)[0]
    head = section("<") + interface("<", 1)
    told = [packet("<", 1, data, 1), packet("<", 2, data, 2), packet("<", 3, data, 1 | 3 << 2)]
    assert passed("inbound", blob=head + b"".join(told)) == head + told[0] + told[2]
    assert passed("outbound", blob=head + b"".join(told)) == head + told[1]
    untold = packet("<", 4, data)
    assert passed("inbound and tcp", blob=head + untold) == head
    message, out = failed(6, "inbound", blob=head + told[0] + untold)
    assert "asks for the direction, which this packet does not tell" in message
    assert out == head + told[0]
    pcap = pcap_head("<", "ns") + pcap_record("<", 1, data)
    message, out = failed(6, "inbound and tcp", blob=pcap)
    assert "asks for the direction, which only packets of pcapng tell" in message
    assert out == b""


# --- pipes ---


def expect(pipe, wanted):
    """These bytes come now."""
    got = b""
    while len(got) < len(wanted):
        assert select.select([pipe], [], [], 10)[0], "nothing came"
        got += os.read(pipe.fileno(), len(wanted) - len(got)) or b"(the end)"
    assert got == wanted


def test_packets_of_a_pipe_come_out_as_they_come_in(needed):
    head, data = section("<") + interface("<", 1), frames.numbered(3)
    with subprocess.Popen([os.path.join(RELEASE, "client/capfilter"), "udp"],
                          stdin=subprocess.PIPE, stdout=subprocess.PIPE) as proc:
        for part in (head, *(packet("<", i, d) for i, d in enumerate(data))):
            # In two pieces: the first alone is no block.
            os.write(proc.stdin.fileno(), part[:len(part) // 2])
            os.write(proc.stdin.fileno(), part[len(part) // 2:])
            expect(proc.stdout, part)
        proc.stdin.close()
        assert proc.wait(10) == 0


@pytest.mark.parametrize("presses, status", [(1, 0), (2, -signal.SIGINT)])
def test_the_first_ctrl_c_is_for_the_program_that_writes_the_pipe(needed, presses, status):
    head, last = section("<") + interface("<", 1), packet("<", 1, frames.numbered(1)[0])
    with subprocess.Popen([os.path.join(RELEASE, "client/capfilter"), "udp"],
                          stdin=subprocess.PIPE, stdout=subprocess.PIPE) as proc:
        os.write(proc.stdin.fileno(), head)
        expect(proc.stdout, head)
        for _ in range(presses):
            # Else two would be one.
            eventually(lambda: pending_of(proc.pid) == 0)
            proc.send_signal(signal.SIGINT)
        if presses == 1:
            os.write(proc.stdin.fileno(), last)
            expect(proc.stdout, last)
            proc.stdin.close()
        assert proc.wait(10) == status


# --- what is wrong ---


def test_what_stands_before_damage_is_written_whole(needed):
    order = "<"
    head = section(order) + interface(order, 1)
    blocks = [packet(order, i, d) for i, d in enumerate(frames.numbered(5))]
    blob = head + b"".join(blocks)
    for cut in range(len(head), len(blob)):
        keep = (cut - len(head)) // len(blocks[0])
        if keep * len(blocks[0]) == cut - len(head):
            assert passed("udp", blob=blob[:cut]) == blob[:cut]
            continue
        if cut % 7:
            continue
        message, out = failed(3, "udp", blob=blob[:cut], build=DEBUG)
        assert f"block {keep + 3} at byte " in message and "ends in the middle" in message
        assert out == head + b"".join(blocks[:keep])


@pytest.mark.parametrize("blob, cause", [
    (b"", "the input is empty"),
    (b"\xd4\xc3\xb2", "ends in the middle"),
    (b"hello, world", "neither pcap nor pcapng"),
    (gzip.compress(pcap_head("<", "us")), "compressed: give it the output of zcat"),
    (pcap_head("<", "us")[:20], "ends in the middle"),
    (pcap_head("<", "us") + struct.pack("<IIII", 1, 2, 0xFFFFFFF0, 60), "longer than any packet"),
    (section("<") + struct.pack("<II", 6, 0xFFFFFFF0) + bytes(100), "a length that no block has"),
    (section("<") + packet("<", 1, b"x" * 60), "interface that is not declared"),
])
def test_what_is_no_capture_is_one_line_and_a_status(needed, blob, cause):
    message, _ = failed(3, "tcp", blob=blob, build=DEBUG)
    assert message.startswith("capfilter: 'stdin': ") and cause in message


def test_a_wrong_expression_touches_nothing(needed, tmp_path):
    data = frames.numbered(1)[0]
    out = tmp_path / "out"
    out.write_bytes(b"precious")
    files = (pcap_head("<", "us"), pcap_head("<", "us") + pcap_record("<", 1, data),
             section("<"), section("<") + interface("<", 1),
             section("<") + interface("<", 1) + packet("<", 1, data))
    for blob in files:
        for text, cause in (("foo bar baz", "syntax error"), ("port 70000", "illegal port"),
                            ("ifindex 3", "only the kernel knows")):
            message, _ = failed(6, "-w", out, text, blob=blob)
            assert f"filter '{text}': " in message and cause in message
            assert out.read_bytes() == b"precious"


def test_an_expression_need_not_fit_interfaces_without_packets(needed):
    arp = frames.make("arp", 60, (), bytes(60))
    head = section("<") + interface("<", 1) + interface("<", 101) + packet("<", 1, arp)
    assert passed("arp", blob=head) == head
    message, out = failed(6, "arp", blob=head + packet("<", 2, arp[14:], iface=1))
    assert "filter 'arp': compile for RAW (Raw IP): " in message
    assert out == head


def test_input_and_output_are_two_files(needed, tmp_path):
    path = tmp_path / "a.pcap"
    blob = pcap_head("<", "us") + pcap_record("<", 1, frames.numbered(1)[0])
    path.write_bytes(blob)
    message, _ = failed(2, "-r", path, "-w", path, "tcp")
    assert "is the input too" in message
    with open(path, "rb") as source, open(path, "ab") as target:
        done = subprocess.run([os.path.join(RELEASE, "client/capfilter"), ""], stdin=source,
                              stdout=target, stderr=subprocess.PIPE, timeout=60, check=False)
    assert done.returncode == 2 and path.read_bytes() == blob


def test_a_full_disk_and_a_missing_file_have_their_status(needed, tmp_path):
    blob = pcap_head("<", "us")
    message, _ = failed(7, "-w", "/dev/full", "tcp", blob=blob)
    assert "'/dev/full': write: No space left on device" in message
    message, _ = failed(7, "-w", tmp_path / "no" / "x", "tcp", blob=blob)
    assert "open: No such file or directory" in message
    message, _ = failed(3, "-r", tmp_path / "no", "tcp")
    assert "open: No such file or directory" in message


# --- without files ---


ORIGINAL = "45 00 00 5b 7e 1f 40 00 40 06 be 7b 7f 00 00 01 7f 00 00 01 01 bd b0 7e " \
    "e5 23 51 d3 e5 67 ce cf 80 18 01 82 fe 4f 00 00"


def test_one_packet_matches_or_not(needed):
    text = "src port 445 and src net 127.0.0.0/8"
    for link in ("12", "RAW", "101"):
        assert passed("--match", text, ORIGINAL, "--linktype", link) == b"match\n"
    done = capfilter("--match", "-y", "RAW", "dst port 445", ORIGINAL)
    assert (done.returncode, done.stdout, done.stderr) == (1, b"no match\n", b"")
    assert capfilter("--match", "tcp", ORIGINAL).returncode == 1    # not Ethernet
    assert "asks for the direction" in failed(6, "--match", "inbound", ORIGINAL)[0]
    assert "syntax error" in failed(6, "--match", "foo bar baz", ORIGINAL)[0]


@pytest.mark.parametrize("link", ["EN10MB", "RAW", "LINUX_SLL2", "IEEE802_11"])
def test_the_explanation_is_tcpdumps(needed, link):
    for text in ("tcp port 80", "host 192.0.2.1 or ip6", "udp[8:4] & 0xff > len"):
        want = run("tcpdump", "-d", "-y", link, text)
        assert passed("--explain", "-y", link, text).decode() == want


def test_verbose_says_how_many_there_were(needed):
    blob = pcap_head("<", "us") + b"".join(
        pcap_record("<", i, f.data) for i, f in enumerate(frames.mixed(50)))
    n = len(capfile.parse(passed("tcp", blob=blob)).packets)
    assert capfilter("-v", "tcp", blob=blob).stderr.decode() == \
        f"capfilter: {n} of 50 packets\n"


def test_every_option_is_in_the_man_page(needed):
    with open(os.path.join(TOP, "docs/man/capfilter.1"), encoding="utf-8") as f:
        page = f.read().replace("\\-", "-")
    options = set(re.findall(r"--[a-z-]+", passed("--help").decode()))
    assert len(options) > 7
    assert [option for option in sorted(options) if option not in page] == []
