"""Hosts, lines, programs and certificates for the end-to-end tests.

Three hosts are network namespaces:

    generator gen0 ----- cap0 sensor mgmt0 ----- mgmt0 client
                               10.9.0.1, fd00:9::1    10.9.0.2, fd00:9::2

cap0 and gen0 carry no address, so what the generator sends is all there is
on that line.  Nothing here sleeps: every wait is for an event and bounded.
"""
import contextlib
import ctypes
import json
import os
import re
import select
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import time

TOP = os.path.realpath(os.path.join(os.path.dirname(__file__), "../.."))
RELEASE = os.environ.get("CAPTEST_RELEASE", os.path.join(TOP, "build/release"))
DEBUG = os.environ.get("CAPTEST_DEBUG", os.path.join(TOP, "build/debug"))
LONG = bool(os.environ.get("CAPTEST_LONG"))

SENSOR4, SENSOR6, CLIENT4, CLIENT6 = "10.9.0.1", "fd00:9::1", "10.9.0.2", "fd00:9::2"
ETH_P_ALL = 3
CLONE_NEWNET = 0x40000000
PR_SET_CHILD_SUBREAPER = 36

_libc = ctypes.CDLL(None, use_errno=True)


class Timeout(AssertionError):
    """An event did not come within its bound."""


def eventually(check, timeout=10, what="condition"):
    """Wait until check() is true; its value."""
    end = time.monotonic() + timeout
    pause = threading.Event()
    while True:
        value = check()
        if value:
            return value
        if time.monotonic() > end:
            raise Timeout(f"{what}: not within {timeout} s")
        pause.wait(0.01)


def holds(check, seconds):
    """Call check(elapsed) again and again; for what must not happen."""
    start = time.monotonic()
    pause = threading.Event()
    while time.monotonic() - start < seconds:
        check(time.monotonic() - start)
        pause.wait(0.1)


def run(*argv, **kwargs):
    """Run to the end; standard output, or an AssertionError with everything."""
    done = subprocess.run(argv, check=False, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                          stdin=subprocess.DEVNULL, text=True, **kwargs)
    assert done.returncode == 0, f"{' '.join(argv)}: {done.returncode}\n{done.stdout}{done.stderr}"
    return done.stdout


class Net:
    """The three namespaces and their lines."""

    def __init__(self):
        tag = f"ct{os.getpid()}"
        self.gen, self.sensor, self.client = f"{tag}g", f"{tag}s", f"{tag}c"
        # Orphans of the programs under test are reaped here, not by init.
        _libc.prctl(PR_SET_CHILD_SUBREAPER, 1)
        try:
            self._make()
        except BaseException:
            self.close()
            raise

    def _make(self):
        for ns in (self.gen, self.sensor, self.client):
            run("ip", "netns", "add", ns)
            self.ip(ns, "link", "set", "lo", "up")
        for ns in (self.sensor, self.client, self.gen):
            self.sysctl(ns, "net.ipv6.conf.default.accept_dad", 0)
            self.sysctl(ns, "net.ipv6.conf.default.router_solicitations", 0)
        run("ip", "-n", self.gen, "link", "add", "gen0", "mtu", "9000", "address",
            "02:00:00:00:00:01", "type", "veth", "peer", "name", "cap0", "netns", self.sensor,
            "mtu", "9000", "address", "02:00:00:00:00:02")
        run("ip", "-n", self.sensor, "link", "add", "mgmt0", "address", "02:00:00:00:01:01",
            "type", "veth", "peer", "name", "mgmt0", "netns", self.client,
            "address", "02:00:00:00:01:02")
        # A line that stays down.
        self.ip(self.sensor, "link", "add", "down0", "type", "veth", "peer", "name", "down1")
        for ns, iface in ((self.gen, "gen0"), (self.sensor, "cap0")):
            self.sysctl(ns, f"net.ipv6.conf.{iface}.disable_ipv6", 1)
            self.ip(ns, "link", "set", iface, "up")
        for ns, v4, v6, peer4, peer6, mac in (
                (self.sensor, SENSOR4, SENSOR6, CLIENT4, CLIENT6, "02:00:00:00:01:02"),
                (self.client, CLIENT4, CLIENT6, SENSOR4, SENSOR6, "02:00:00:00:01:01")):
            self.ip(ns, "link", "set", "mgmt0", "up")
            self.ip(ns, "addr", "add", f"{v4}/24", "dev", "mgmt0")
            self.ip(ns, "addr", "add", f"{v6}/64", "dev", "mgmt0", "nodad")
            # Known neighbours keep the line silent.
            for peer in (peer4, peer6):
                self.ip(ns, "neigh", "replace", peer, "lladdr", mac, "dev", "mgmt0")

    def close(self):
        for ns in (self.gen, self.sensor, self.client):
            subprocess.run(["ip", "netns", "del", ns], check=False,
                           stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def ip(self, ns, *args):
        return run("ip", "-n", ns, *args)

    def sysctl(self, ns, name, value):
        run("ip", "netns", "exec", ns, "sysctl", "-qw", f"{name}={value}")

    def link(self, ns, iface):
        """Everything `ip -s -d link` knows of an interface."""
        return json.loads(run("ip", "-n", ns, "-j", "-s", "-d", "link", "show", "dev", iface))[0]

    def promiscuity(self, iface="cap0"):
        return self.link(self.sensor, iface)["promiscuity"]

    @contextlib.contextmanager
    def inside(self, ns):
        """This thread's sockets are made in the namespace ns."""
        home = os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
        there = os.open(f"/run/netns/{ns}", os.O_RDONLY | os.O_CLOEXEC)
        try:
            for fd in (there, home):
                if _libc.setns(fd, CLONE_NEWNET) != 0:
                    raise OSError(ctypes.get_errno(), "setns")
                if fd == there:
                    try:
                        yield
                    finally:
                        continue
        finally:
            os.close(there)
            os.close(home)

    def socket(self, ns, *args):
        with self.inside(ns):
            return socket.socket(*args)

    def connect(self, address, timeout=20, ns=None, source=None):
        with self.inside(ns or self.client):
            return socket.create_connection(address, timeout, (source, 0) if source else None)


class Sender:
    """Exact frames out of an interface: a packet socket."""

    def __init__(self, net, ns=None, iface="gen0"):
        self.sock = net.socket(ns or net.gen, socket.AF_PACKET, socket.SOCK_RAW, 0)
        self.sock.bind((iface, 0))

    def send(self, *frames):
        for frame in frames:
            self.sock.send(frame)

    def send_paced(self, frames, per_second):
        """Send at a rate that two readers follow on a small machine."""
        start = time.monotonic()
        pause = threading.Event()
        for i, frame in enumerate(frames):
            if i % 32 == 0:
                ahead = start + i / per_second - time.monotonic()
                if ahead > 0:
                    pause.wait(ahead)
            self.sock.send(frame)

    def close(self):
        self.sock.close()


class Lines:
    """Collects the lines of a pipe; waits for one that matches."""

    def __init__(self, pipe):
        self._pipe = pipe
        self._lines = []
        self._ended = False
        self._news = threading.Condition()
        self._thread = threading.Thread(target=self._collect, daemon=True)
        self._thread.start()

    def _collect(self):
        for line in self._pipe:
            with self._news:
                self._lines.append(line.decode("utf-8", "backslashreplace").rstrip("\n"))
                self._news.notify_all()
        with self._news:
            self._ended = True
            self._news.notify_all()

    def wait(self, pattern, timeout=10, count=1):
        """The match in the count-th line that has one."""
        end = time.monotonic() + timeout
        with self._news:
            while True:
                found = [m for m in (re.search(pattern, line) for line in self._lines) if m]
                if len(found) >= count:
                    return found[count - 1]
                left = end - time.monotonic()
                if self._ended or left <= 0:
                    why = "the program ended" if self._ended else f"not within {timeout} s"
                    raise Timeout(f"no line matches {pattern!r} ({why}):\n{self.text()}")
                self._news.wait(left)

    def wait_end(self, timeout=10):
        self._thread.join(timeout)

    def lines(self):
        with self._news:
            return list(self._lines)

    def text(self):
        return "\n".join(self._lines)


class Proc:
    """A program in a namespace; stderr is collected, stdout as asked."""

    def __init__(self, lab, name, argv, ns=None, stdout=None, env=None, pass_fds=(), stdin=None,
                 cwd=None):
        self.lab, self.name = lab, name
        if ns is not None:
            argv = ["ip", "netns", "exec", ns, *argv]
        full_env = {k: v for k, v in os.environ.items() if not k.startswith("CAPCLIENT_")}
        full_env.update({"HOME": lab.home, "LC_ALL": "C.UTF-8", "LD_BIND_NOW": ""})
        full_env.update(env or {})
        self.argv = argv
        self.popen = subprocess.Popen(
            argv, stdin=stdin if stdin is not None else subprocess.DEVNULL,
            stdout=subprocess.PIPE if stdout is None else stdout,
            stderr=subprocess.PIPE, env=full_env, pass_fds=pass_fds, cwd=cwd,
            start_new_session=True)
        self.pid = self.popen.pid
        self.err = Lines(self.popen.stderr)
        self.out = Lines(self.popen.stdout) if stdout is None else None
        lab.procs.append(self)

    def signal(self, number):
        self.popen.send_signal(number)

    def is_running(self):
        return self.popen.poll() is None

    def wait(self, timeout=10):
        """The exit status."""
        try:
            status = self.popen.wait(timeout)
        except subprocess.TimeoutExpired:
            raise Timeout(f"{self.name} does not end within {timeout} s") from None
        self.err.wait_end()
        if self.out is not None:
            self.out.wait_end()
        return status

    def kill(self):
        """At once, with whatever it started; gone when this returns."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)
        self.popen.wait(10)

        # Its orphans became ours: see Net.
        def are_reaped():
            try:
                os.waitpid(-self.pid, os.WNOHANG)
            except ChildProcessError:
                return True
            return False

        eventually(are_reaped, 10, f"end of what {self.name} started")

    def report(self):
        out = self.out.text() if self.out is not None else ""
        return (f"$ {' '.join(self.argv)}\n[exit status {self.popen.poll()}]\n"
                f"{out}{self.err.text()}")


def name_of(pid):
    """A process's name; "" when it is gone."""
    try:
        with open(f"/proc/{pid}/comm", encoding="ascii") as f:
            return f.read().strip()
    except (FileNotFoundError, ProcessLookupError):
        return ""


class Agent(Proc):
    """capagent on the sensor, ready to accept."""

    def __init__(self, lab, conf=None, listen=("0.0.0.0:9443", "[::]:9443"), build=None,
                 cert="agent", ca="ca.pem", ns=None, extra=(), ready=True, user=None):
        directory = os.path.join(build or lab.release, "server")
        argv = [os.path.join(directory, "capagent")]
        for address in listen:
            argv += ["--listen", address]
        argv += ["--cert", lab.pki.path(cert + ".pem"), "--key", lab.pki.path(cert + ".key"),
                 "--ca", lab.pki.path(ca)]
        if conf is not None:
            path = os.path.join(lab.dir, f"capagent-{len(lab.procs)}.conf")
            with open(path, "w", encoding="utf-8") as f:
                f.write(conf)
            os.chmod(path, 0o644)
            argv += ["--config", path]
        if user is not None:
            argv += ["--user", user]
        read_fd, write_fd = os.pipe()
        try:
            super().__init__(lab, "capagent", [*argv, "--ready-fd", str(write_fd), *extra],
                             ns=ns or lab.net.sensor, pass_fds=(write_fd,))
        finally:
            os.close(write_fd)
        with os.fdopen(read_fd, "rb", buffering=0) as f:
            if not ready:
                return
            line = b""
            end = time.monotonic() + 20
            while not line.endswith(b"\n"):
                left = end - time.monotonic()
                if left <= 0 or not select.select([f], [], [], left)[0]:
                    raise Timeout(f"agent not ready within 20 s:\n{self.err.text()}")
                more = f.read(4096)
                if not more:
                    self.popen.wait(5)
                    raise AssertionError(f"agent ended before it was ready:\n{self.report()}")
                line += more
        word, *self.addresses = line.decode().split()
        assert word == "ready", line

    @property
    def net_pid(self):
        """The process id of capagent-net."""
        with open(f"/proc/{self.pid}/task/{self.pid}/children", encoding="ascii") as f:
            pids = f.read().split()
        # The other child reads files again when the agent is asked to reload.
        pids = [int(pid) for pid in pids if name_of(pid) == "capagent-net"]
        assert len(pids) == 1, pids
        return pids[0]

    @property
    def reread_pid(self):
        """The process that reads the files of a reload."""
        with open(f"/proc/{self.pid}/task/{self.pid}/children", encoding="ascii") as f:
            return next(int(pid) for pid in f.read().split()
                        if name_of(pid) == "capagent-reread")

    def stop(self, timeout=10):
        self.signal(signal.SIGTERM)
        return self.wait(timeout)


SUMMARY = {
    "captured": r"^(\d+) packets? captured$",
    "received": r"^(\d+) packets? received by filter$",
    "dropped": r"^(\d+) packets? dropped by kernel$",
}


class Client(Proc):
    """capclient on the client's host."""

    def wait_listening(self, timeout=15):
        return self.err.wait(r"^capclient: listening on ", timeout)

    def interrupt(self, timeout=15):
        """Ctrl-C, and wait for the end."""
        self.signal(signal.SIGINT)
        return self.wait(timeout)

    def counts(self):
        """The numbers of tcpdump's closing lines."""
        found = {}
        for key, pattern in SUMMARY.items():
            match = [m for m in (re.search(pattern, line) for line in self.err.lines()) if m]
            assert len(match) == 1, f"{key}: {len(match)} lines in\n{self.err.text()}"
            found[key] = int(match[0].group(1))
        return found

    def errors(self):
        """Lines that are messages: not the start line, not the counters."""
        return [line for line in self.err.lines()
                if line.startswith("capclient: ") and " listening on " not in line]


class Pki:
    """Certificates of the tests; made once."""

    def __init__(self, directory):
        self.dir = directory
        self.capcert("init")
        self.capcert("agent", "agent", "--san",
                     f"DNS:sensor1,DNS:localhost,IP:{SENSOR4},IP:{SENSOR6},IP:127.0.0.1,IP:::1")
        self.capcert("client", "client")

    def capcert(self, *args, directory=None):
        return run(os.path.join(TOP, "certs/capcert"), "--dir", directory or self.dir, *args)

    def path(self, name):
        return os.path.join(self.dir, name)

    def other(self):
        """A second authority with the same names: a folder beside."""
        other = os.path.join(self.dir, "other")
        if not os.path.exists(other):
            sub = Pki.__new__(Pki)
            Pki.__init__(sub, other)
        return other

    def issue_dated(self, role, name, start, end):
        """What capcert does not make: a lifetime in the past or of seconds (UTC times)."""
        work = tempfile.mkdtemp(dir=self.dir)
        with open(os.path.join(work, "conf"), "w", encoding="ascii") as f:
            f.write(f"[ca]\ndefault_ca=d\n[d]\ndatabase={work}/index\nrand_serial=yes\n"
                    f"new_certs_dir={work}\ndefault_md=sha256\npolicy=p\nemail_in_dn=no\n"
                    "[p]\ncommonName=supplied\n[req]\ndistinguished_name=n\nprompt=no\n"
                    f"[n]\ncommonName={name}\n[e]\nbasicConstraints=critical,CA:FALSE\n"
                    f"extendedKeyUsage={'serverAuth' if role == 'agent' else 'clientAuth'}\n"
                    f"subjectAltName=DNS:sensor1,IP:{SENSOR4}\n")
        with open(os.path.join(work, "index"), "w", encoding="ascii"):
            pass
        conf, csr = os.path.join(work, "conf"), os.path.join(work, "csr")
        run("openssl", "req", "-new", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256",
            "-nodes", "-keyout", self.path(name + ".key"), "-config", conf, "-out", csr)
        run("openssl", "ca", "-batch", "-notext", "-config", conf, "-cert", self.path("ca.pem"),
            "-keyfile", self.path("ca.key"), "-extensions", "e", "-in", csr,
            "-startdate", f"{start:%Y%m%d%H%M%SZ}", "-enddate", f"{end:%Y%m%d%H%M%SZ}",
            "-out", self.path(name + ".pem"))
        os.chmod(self.path(name + ".key"), 0o600)

    def issue_self_signed(self, role, name):
        run("openssl", "req", "-new", "-x509", "-newkey", "ec", "-pkeyopt",
            "ec_paramgen_curve:P-256", "-nodes", "-keyout", self.path(name + ".key"),
            "-subj", f"/CN={name}", "-days", "30", "-out", self.path(name + ".pem"),
            "-addext", f"extendedKeyUsage={'serverAuth' if role == 'agent' else 'clientAuth'}",
            "-addext", f"subjectAltName=DNS:sensor1,IP:{SENSOR4}")
        os.chmod(self.path(name + ".key"), 0o600)


class Lab:
    """What one test uses: its folder, its programs, the shared lines."""

    def __init__(self, net, pki, blast, directory):
        self.net, self.pki, self.blast_program, self.dir = net, pki, blast, directory
        self.release, self.debug = RELEASE, DEBUG
        self.home = os.path.join(directory, "home")
        os.makedirs(self.home, exist_ok=True)
        self.procs = []
        self._senders = []

    def file(self, name):
        return os.path.join(self.dir, name)

    def agent(self, **kwargs):
        return Agent(self, **kwargs)

    def sender(self, **kwargs):
        sender = Sender(self.net, **kwargs)
        self._senders.append(sender)
        return sender

    def client(self, *args, sensor=SENSOR4, cert="client", ca="ca.pem", ns=None, build=None,
               env=None, prefix=(), **kwargs):
        """Start capclient SENSOR ARGS; certificates come by environment."""
        full_env = {}
        if cert is not None:
            full_env = {"CAPCLIENT_CERT": self.pki.path(cert + ".pem"),
                        "CAPCLIENT_KEY": self.pki.path(cert + ".key"),
                        "CAPCLIENT_CA": self.pki.path(ca)}
        full_env.update(env or {})
        program = os.path.join(build or self.release, "client/capclient")
        argv = [*prefix, program, *([sensor] if sensor else []), *map(str, args)]
        return Client(self, "capclient", argv, ns=ns or self.net.client, env=full_env, **kwargs)

    def capture(self, *args, **kwargs):
        """A client whose capture runs."""
        client = self.client(*args, **kwargs)
        client.wait_listening()
        return client

    def tcpdump(self, path, *args, iface="cap0", ns=None):
        """tcpdump on the sensor, running; nanoseconds, no privileges to drop."""
        proc = Proc(self, "tcpdump", ["tcpdump", "-Z", "root", "-n", "-i", iface, "-w", path,
                                      "--time-stamp-precision=nano", "-B", "65536", *args],
                    ns=ns or self.net.sensor)
        proc.err.wait(r"listening on ")
        return proc

    def blast(self, count, size, rate, journal=None):
        """The fast sender, started; a count of 0 sends until SIGTERM."""
        argv = [self.blast_program, "gen0", str(count), str(size), str(rate)]
        return Proc(self, "blast", argv + ([journal] if journal else []), ns=self.net.gen)

    def connections(self, port=9443, ns=None):
        """Established TCP connections of a port on the sensor."""
        text = run("ip", "netns", "exec", ns or self.net.sensor, "ss", "-Htn", "state",
                   "established", f"( sport = :{port} )")
        return [line for line in text.splitlines() if line.strip()]

    def end(self):
        for proc in reversed(self.procs):
            proc.kill()
        for sender in self._senders:
            sender.close()

    def sanitizer_reports(self):
        pattern = r"(Address|Leak|Thread|UndefinedBehavior)Sanitizer|runtime error:"
        return [line for proc in self.procs for line in proc.err.lines()
                if re.search(pattern, line)]


def find_missing():
    """Programs that the tests need and that are not there."""
    needed = ["ip", "tc", "ss", "nft", "sysctl", "openssl", "cc", "tcpdump", "dumpcap", "tshark",
              "capinfos", "editcap", "mergecap", "setpriv", "wireshark", "Xvfb", "xdotool", "import"]
    missing = [name for name in needed if shutil.which(name) is None]
    for build, part in ((RELEASE, "server/capagent"), (RELEASE, "server/capagent-net"),
                        (RELEASE, "client/capclient"), (RELEASE, "client/capfilter"),
                        (DEBUG, "server/capagent"), (DEBUG, "client/capfilter")):
        if not os.path.exists(os.path.join(build, part)):
            missing.append(os.path.join(build, part))
    return missing
