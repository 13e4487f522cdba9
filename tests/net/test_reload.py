"""SIGHUP: what changes, what does not, and captures that go on."""
import os
import shutil
import signal
import ssl
import threading

import pytest

import capfile
import frames
from lab import SENSOR4, SENSOR6, Proc, eventually, name_of

CA = "certificate is not from the expected CA"
SAN = f"DNS:sensor1,IP:{SENSOR4},IP:{SENSOR6}"
READER_CAPS = 1 << 2 | 1 << 6 | 1 << 7 | 1 << 8  # DAC_READ_SEARCH, SETGID, SETUID, SETPCAP


def numbers(path):
    return [frames.number_of(p.data) for p in capfile.read(path).packets]


@pytest.fixture(scope="module")
def second(pki):
    """Another certificate of the agent, and another authority."""
    pki.capcert("agent", "second", "--san", SAN)
    pki.other()
    return pki


class Files:
    """An agent whose files can be changed under it."""

    def __init__(self, lab, pki):
        self.lab, self.pki = lab, pki
        self.conf_path = lab.file("agent.conf")
        self.install("agent", "ca.pem")
        self.conf("")
        self.agent = None

    def install(self, cert=None, ca=None, key=None):
        for source, name, mode in (
                (cert and cert + ".pem", "agent.pem", 0o644),
                ((key or cert) and (key or cert) + ".key", "agent.key", 0o600),
                (ca, "ca.pem", 0o644)):
            if source:
                shutil.copy(self.pki.path(source), self.lab.file(name))
                os.chmod(self.lab.file(name), mode)

    def conf(self, text):
        with open(self.conf_path, "w", encoding="utf-8") as f:
            f.write(text)
        os.chmod(self.conf_path, 0o644)

    def start(self, conf="", extra=(), **kwargs):
        self.conf(conf)
        self.agent = self.lab.agent(cert=self.lab.file("agent"), ca=self.lab.file("ca.pem"),
                                    extra=("--config", self.conf_path, *extra), **kwargs)
        return self.agent

    def said(self):
        """How each reload ended so far."""
        return [line for line in self.agent.err.lines()
                if " reloaded: " in line or ": nothing is changed" in line]

    def hangup(self):
        """Reload, and the line that says how it went."""
        before = len(self.said())
        self.agent.signal(signal.SIGHUP)
        eventually(lambda: len(self.said()) > before, 20, "the end of a reload")
        return self.said()[before]

    def reload(self):
        line = self.hangup()
        assert " reloaded: " in line, self.agent.err.text()
        return line

    def refused(self, cause):
        line = self.hangup()
        assert "nothing is changed" in line and cause in line, line
        return line


@pytest.fixture
def files(lab, second):
    return Files(lab, second)


class Stream:
    """Numbered frames at 2,000 a second until the with-block ends."""

    def __init__(self, lab, rate=2000):
        self.sender, self.rate, self.count = lab.sender(), rate, 0
        self.frames = frames.numbered(40000)
        self.over = threading.Event()
        self.thread = threading.Thread(target=self._send)

    def _send(self):
        while not self.over.is_set():
            self.sender.send(self.frames[self.count])
            self.count += 1
            if self.count % 20 == 0:
                self.over.wait(20 / self.rate)

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.over.set()
        self.thread.join()

    def more(self, n=500):
        """Wait until n more have been sent."""
        goal = self.count + n
        eventually(lambda: self.count >= goal, 20, "more frames")


def served(lab, pki):
    """The certificate the agent shows now, as in the file."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.set_alpn_protocols(["capture/1"])
    context.load_cert_chain(pki.path("client.pem"), pki.path("client.key"))
    context.load_verify_locations(pki.path("ca.pem"))
    with context.wrap_socket(lab.net.connect((SENSOR4, 9443)), server_hostname=SENSOR4) as conn:
        return ssl.DER_cert_to_PEM_cert(conn.getpeercert(binary_form=True))


def on_disk(pki, name):
    with open(pki.path(name), encoding="ascii") as f:
        text = f.read()
    return text[text.index("-----BEGIN"):].strip()


def test_a_new_certificate_is_served_and_captures_lose_nothing(lab, files, second):
    files.start()
    path = lab.file("a.pcapng")
    client = lab.capture("-i", "cap0", "-w", path)
    with Stream(lab) as stream:
        stream.more()
        assert served(lab, second).strip() == on_disk(second, "agent.pem")
        files.install("second")
        files.reload()
        assert served(lab, second).strip() == on_disk(second, "second.pem")
        stream.more()
    assert client.interrupt() == 0, client.err.text()
    assert numbers(path) == list(range(stream.count))
    assert client.counts()["dropped"] == 0
    # A new client is content with it, too.
    again = lab.capture("-i", "cap0", "-w", lab.file("b.pcapng"))
    assert again.interrupt() == 0


def test_another_authority_refuses_new_clients_and_lets_old_captures_go_on(lab, files, second):
    files.start()
    path = lab.file("a.pcapng")
    client = lab.capture("-i", "cap0", "-w", path)
    with Stream(lab) as stream:
        files.install(ca="other/ca.pem")
        files.reload()
        late = lab.client("-i", "cap0", "-w", lab.file("b.pcapng"))
        assert late.wait(20) == 4, late.err.text()
        assert CA in late.err.text()
        other = lab.capture("-i", "cap0", "-w", lab.file("c.pcapng"), cert="other/client")
        assert other.interrupt() == 0
        stream.more()
    assert client.interrupt() == 0, client.err.text()
    assert numbers(path) == list(range(stream.count))


def break_line(files):
    files.conf("interfaces = cap0\nmax-captures = many\n")
    return f"{files.conf_path}:2: max-captures"


def break_filter(files):
    files.conf("mandatory-filter = udp and and\n")
    return f"{files.conf_path}:1: "


def break_mode(files):
    os.chmod(files.conf_path, 0o666)
    return f"configuration '{files.conf_path}'"


def break_remove(files):
    os.unlink(files.conf_path)
    return f"configuration '{files.conf_path}'"


def break_key(files):
    files.install(key="agent")
    return f"{files.lab.file('agent.key')}: load: does not belong to the certificate"


def break_key_mode(files):
    os.chmod(files.lab.file("agent.key"), 0o644)
    return f"private key '{files.lab.file('agent.key')}'"


def break_cert(files):
    os.unlink(files.lab.file("agent.pem"))
    return f"certificate '{files.lab.file('agent.pem')}'"


def break_ca(files):
    with open(files.lab.file("ca.pem"), "w", encoding="ascii") as f:
        f.write("nothing\n")
    return f"{files.lab.file('ca.pem')}: read: holds no certificate"


def break_role(files):
    files.install("client")
    return "certificate is not for an agent"


@pytest.mark.parametrize("damage", [
    break_line, break_filter, break_mode, break_remove, break_key, break_key_mode, break_cert,
    break_ca, break_role], ids=lambda f: f.__name__)
def test_what_is_not_right_changes_nothing_and_says_why(lab, files, second, damage):
    """Certificates and configuration stay, both, whichever of them is wrong."""
    files.start("interfaces = cap0\n")
    client = lab.capture("-i", "cap0", "-w", lab.file("a.pcapng"))
    # Both change; but one of them is damaged.
    files.install("second")
    files.conf("interfaces = mgmt0\n")
    files.refused(damage(files))
    assert served(lab, second).strip() == on_disk(second, "agent.pem")
    new = lab.capture("-i", "cap0", "-w", lab.file("b.pcapng"))
    lab.sender().send(*frames.numbered(50))
    assert client.interrupt() == 0 and new.interrupt() == 0
    assert numbers(lab.file("a.pcapng")) == list(range(50))
    # And the next one is not spoiled by this one.
    files.install("second", "ca.pem")
    files.conf("interfaces = mgmt0\n")
    assert "interfaces" in files.reload()
    assert served(lab, second).strip() == on_disk(second, "second.pem")


def refused_interface(lab, name="cap0"):
    client = lab.client("-i", name, "-w", lab.file("refused.pcapng"))
    assert client.wait(20) == 4, client.err.text()
    assert "not permitted" in client.err.text(), client.err.text()


def test_a_forbidden_interface_is_refused_to_new_captures_only(lab, files):
    files.start()
    path = lab.file("a.pcapng")
    client = lab.capture("-i", "cap0", "-w", path)
    with Stream(lab) as stream:
        files.conf("interfaces = mgmt*\n")
        assert "interfaces" in files.reload()
        refused_interface(lab)
        stream.more()
    assert client.interrupt() == 0
    assert numbers(path) == list(range(stream.count))
    files.conf("interfaces = mgmt*, cap0\n")
    files.reload()
    again = lab.capture("-i", "cap0", "-w", lab.file("b.pcapng"))
    assert again.interrupt() == 0


def test_limits_and_the_mandatory_filter_hold_for_new_captures(lab, files):
    files.start("mandatory-filter = udp dst port 1000\n")
    old = lab.capture("-i", "cap0", "-w", lab.file("old.pcapng"))
    files.conf("mandatory-filter = udp dst port 2000\nmax-snaplen = 60\nmax-captures = 2\n")
    line = files.reload()
    for key in ("mandatory-filter", "max-snaplen", "max-captures"):
        assert key in line
    new = lab.capture("-i", "cap0", "-w", lab.file("new.pcapng"))
    third = lab.client("-i", "cap0", "-w", lab.file("third.pcapng"))
    assert third.wait(20) != 0
    assert "max-captures" in third.err.text()
    lab.sender().send(*frames.numbered(10, dport=1000), *frames.numbered(20, dport=2000))
    assert old.interrupt() == 0 and new.interrupt() == 0
    assert numbers(lab.file("old.pcapng")) == list(range(10))
    got = capfile.read(lab.file("new.pcapng")).packets
    assert len(got) == 20 and {len(p.data) for p in got} == {60}


def test_what_needs_a_restart_is_named_and_the_rest_takes_effect(lab, files):
    files.start("mark = 0x7\n", listen=())
    files.conf("mark = 0x8\nlisten = 127.0.0.1:1\nuser = daemon\nnamespaces = all\n"
               "hardware-timestamps = yes\ninterfaces = mgmt0\n")
    assert "changed: interfaces" in files.reload()
    line = files.agent.err.wait("needs a restart").string
    for key in ("mark", "listen", "user", "namespaces", "hardware-timestamps"):
        assert key in line, line
    refused_interface(lab)
    client = lab.capture("-i", "mgmt0", "-w", lab.file("a.pcapng"))
    assert client.interrupt() == 0


def test_with_namespaces_files_outside_run_are_read_as_well(lab, files):
    """capagent itself sees nothing but /run then."""
    files.start("namespaces = all\ninterfaces = cap0\n")
    files.conf("namespaces = none\ninterfaces = mgmt0\n")
    line = files.reload()
    assert "interfaces, namespaces" in line
    refused_interface(lab)
    # What the start permitted can come back.
    files.conf("namespaces = all\n")
    assert "namespaces" in files.reload()
    assert not [line for line in files.agent.err.lines() if "needs a restart" in line]


def test_ten_thousand_hangups_are_few_reloads_and_the_last_one_counts(lab, files):
    files.start()
    path = lab.file("a.pcapng")
    client = lab.capture("-i", "cap0", "-w", path)
    with Stream(lab) as stream:
        for _ in range(10000):
            files.agent.signal(signal.SIGHUP)
        # After the storm: whatever is under way, this one is seen.
        files.conf("interfaces = mgmt0\n")
        files.agent.signal(signal.SIGHUP)
        eventually(lambda: any("changed: interfaces" in line for line in files.said()), 20,
                   "the reload after the storm")
        stream.more(100)
    assert 1 <= len(files.said()) < 2000
    assert client.interrupt() == 0
    assert numbers(path) == list(range(stream.count))
    refused_interface(lab)


def test_captures_are_opened_while_reloads_go_on(lab, files):
    files.start()
    over = threading.Event()

    def hangups():
        while not over.wait(0.002):
            files.agent.signal(signal.SIGHUP)

    thread = threading.Thread(target=hangups)
    thread.start()
    try:
        for attempt in range(20):
            path = lab.file(f"{attempt}.pcapng")
            client = lab.capture("-i", "cap0", "-w", path)
            lab.sender().send(*frames.numbered(50))
            assert client.interrupt() == 0, client.err.text()
            assert numbers(path) == list(range(50))
    finally:
        over.set()
        thread.join()
    assert len(files.said()) > 20
    assert not [line for line in files.said() if "nothing is changed" in line]


def usage(pid):
    with open(f"/proc/{pid}/status", encoding="ascii") as f:
        rss = next(int(line.split()[1]) for line in f if line.startswith("VmRSS:"))
    return len(os.listdir(f"/proc/{pid}/fd")), rss


def test_a_hundred_reloads_leave_nothing_behind(lab, files):
    """With a capture that began under the first of all mandatory filters."""
    agent = files.start("mandatory-filter = not port 1\n")
    client = lab.capture("-i", "cap0", "-w", lab.file("a.pcapng"))

    def reloads(count):
        for i in range(count):
            files.conf(f"mandatory-filter = not port {i + 2}\n")
            files.install("second" if i % 2 else "agent")
            files.reload()
            # The log holds back what comes too often.
            if i % 10 == 0:
                files.conf("nonsense\n")
                files.refused(":1: ")

    def measure():
        return [usage(pid) for pid in (agent.pid, agent.net_pid, agent.reread_pid)]

    reloads(20)
    before = measure()
    reloads(100)
    for name, (fds, kb), (fds_after, kb_after) in zip(
            ("capagent", "capagent-net", "capagent-reread"), before, measure()):
        assert fds_after == fds, name
        assert kb_after <= kb + 512, f"{name}: {kb} kB before, {kb_after} kB after"
    assert client.interrupt() == 0


def start_by_hand(lab, files, conf, prefix=(), folder=None):
    """Without waiting for it to be ready."""
    files.conf(conf)
    agent = Proc(lab, "capagent", [
        *prefix, f"{folder or lab.release + '/server'}/capagent", "--listen", "0.0.0.0:9443", "--config",
        files.conf_path, "--cert", lab.file("agent.pem"), "--key", lab.file("agent.key"), "--ca",
        lab.file("ca.pem")], ns=lab.net.sensor)
    files.agent = agent
    return agent


def children(pid):
    with open(f"/proc/{pid}/task/{pid}/children", encoding="ascii") as f:
        return [int(child) for child in f.read().split()]


def test_a_hangup_during_the_start_is_a_reload_after_it(lab, files):
    agent = start_by_hand(lab, files, "mandatory-filter = not port 1\n")
    # It compiles the filter: far from ready, but itself.
    eventually(lambda: name_of(agent.pid) == "capagent" and children(agent.pid), 10)
    agent.signal(signal.SIGHUP)
    eventually(files.said, 20, "the reload")
    assert " reloaded: " in files.said()[0]
    client = lab.capture("-i", "cap0", "-w", lab.file("a.pcapng"))
    assert client.interrupt() == 0


def test_a_hangup_reloads_also_where_nohup_ran_the_agent(lab, files):
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        files.start()
    finally:
        signal.signal(signal.SIGHUP, before)
    files.reload()


def status(pid):
    with open(f"/proc/{pid}/status", encoding="ascii") as f:
        return dict(line.rstrip("\n").split(":\t", 1) for line in f if ":\t" in line)


def is_over(pid):
    try:
        return status(pid)["State"].startswith("Z")
    except (FileNotFoundError, ProcessLookupError):
        return True


def test_the_end_comes_also_during_a_reload(lab, files):
    agent = files.start()
    client = lab.capture("-i", "cap0", "-w", lab.file("a.pcapng"), "--reconnect", "0")
    lab.sender().send(*frames.numbered(100))
    reread = agent.reread_pid
    files.conf("mandatory-filter = not port 1\n")
    agent.signal(signal.SIGHUP)
    eventually(lambda: children(reread), 10, "the compiler of the reload")
    agent.signal(signal.SIGTERM)
    assert agent.wait(5) == 0
    assert client.wait() == 9
    assert numbers(lab.file("a.pcapng")) == list(range(100))
    eventually(lambda: is_over(reread), 5, "end of the reading process")


def test_without_its_reading_process_the_agent_goes_on_and_says_so(lab, files):
    agent = files.start()
    client = lab.capture("-i", "cap0", "-w", lab.file("a.pcapng"))
    reread = agent.reread_pid
    os.kill(reread, signal.SIGKILL)
    agent.err.wait("nothing can be reloaded until the agent is restarted", 10)
    # Reaped, too.
    eventually(lambda: not os.path.exists(f"/proc/{reread}"), 5, "end of the reading process")
    files.refused("restart the agent")
    files.refused("restart the agent")
    lab.sender().send(*frames.numbered(100))
    assert client.interrupt() == 0
    assert numbers(lab.file("a.pcapng")) == list(range(100))
    assert agent.stop() == 0


def test_the_reading_process_has_what_reading_needs_and_no_more(lab, files):
    agent = files.start()
    got = status(agent.reread_pid)
    assert int(got["CapEff"], 16) == int(got["CapPrm"], 16) == READER_CAPS, got
    for name in ("CapInh", "CapBnd", "CapAmb"):
        assert int(got[name], 16) == 0, got
    assert got["NoNewPrivs"] == "1" and got["Seccomp"] == "2"
    links = [os.readlink(f"/proc/{agent.reread_pid}/fd/{fd}")
             for fd in os.listdir(f"/proc/{agent.reread_pid}/fd") if int(fd) > 2]
    # The way to capagent, and the program it starts for filters.
    assert len(links) == 2, links
    assert len([link for link in links if link.startswith("socket:")]) == 1, links
    # capagent itself still opens no file: see tests/sys/sandbox_priv.c.
    assert int(status(agent.pid)["CapEff"], 16) == 1 << 13


def test_started_with_the_one_capability_it_reads_what_its_user_may(lab, files):
    for name in ("agent.pem", "agent.key", "ca.pem", "agent.conf"):
        shutil.chown(lab.file(name), "daemon", "daemon")
    path = lab.dir
    while path != "/tmp":
        os.chmod(path, 0o755)
        path = os.path.dirname(path)
    # The build may lie where that user cannot go.
    folder = lab.file("server")
    os.mkdir(folder)
    for name in ("capagent", "capagent-net"):
        shutil.copy(f"{lab.release}/server/{name}", folder)
    start_by_hand(lab, files, "interfaces = cap0\n", folder=folder, prefix=(
        "setpriv", "--reuid=daemon", "--regid=daemon", "--clear-groups", "--inh-caps=+net_raw",
        "--ambient-caps=+net_raw"))
    files.agent.err.wait("listening on", 20)
    files.conf("interfaces = mgmt0\n")
    assert "changed: interfaces" in files.hangup()
    # Root's from now on.
    shutil.chown(lab.file("agent.key"), "root", "root")
    files.refused(f"private key '{lab.file('agent.key')}': open: Permission denied")
