"""What the two processes may do, seen from outside."""
import os
import pwd

import pytest

from lab import TOP, Proc, eventually

CAP_NET_RAW = 1 << 13


def status(pid):
    with open(f"/proc/{pid}/status", encoding="ascii") as f:
        return dict(line.rstrip("\n").split(":\t", 1) for line in f if ":\t" in line)


def capabilities(pid):
    return {name: int(value, 16) for name, value in status(pid).items() if name.startswith("Cap")}


def expected_user():
    try:
        return pwd.getpwnam("capagent")
    except KeyError:
        return pwd.getpwnam("nobody")


def every_thread(pid):
    return [f"{pid}/task/{tid}" for tid in os.listdir(f"/proc/{pid}/task")]


def check_net(pid, user):
    for thread in every_thread(pid):
        got = status(thread)
        assert set(capabilities(thread).values()) == {0}, got
        assert got["Uid"].split() == [str(user.pw_uid)] * 4
        assert got["Gid"].split() == [str(user.pw_gid)] * 4
        assert got["Groups"].split() in ([], [str(user.pw_gid)])
        assert got["NoNewPrivs"] == "1"
        assert got["Seccomp"] == "2"


def test_the_network_process_has_no_privilege_idle_and_capturing(lab, agent):
    check_net(agent.net_pid, expected_user())
    client = lab.capture("-i", "cap0", "-w", lab.file("a.pcapng"))
    # The capture's own thread too.
    eventually(lambda: len(every_thread(agent.net_pid)) > 1, 5, "a thread for the capture")
    check_net(agent.net_pid, expected_user())
    assert client.interrupt() == 0


def test_the_user_is_the_one_that_was_named(lab):
    agent = lab.agent(user="daemon")
    check_net(agent.net_pid, pwd.getpwnam("daemon"))


def test_the_privileged_process_keeps_one_capability(lab, agent):
    got = capabilities(agent.pid)
    assert got["CapEff"] == got["CapPrm"] == CAP_NET_RAW, got
    assert got["CapInh"] == got["CapAmb"] == 0
    assert got["CapBnd"] & ~CAP_NET_RAW == 0
    assert status(agent.pid)["NoNewPrivs"] == "1"
    assert status(agent.pid)["Seccomp"] == "2"


def test_the_network_process_inherits_only_what_it_needs(lab, agent):
    pid = agent.net_pid
    with open(f"/proc/{pid}/environ", "rb") as f:
        names = {item.split(b"=")[0] for item in f.read().split(b"\0") if item}
    assert names <= {b"LANG"}, names
    # No file of this machine stays open but the log.
    open_files = [os.readlink(f"/proc/{pid}/fd/{fd}") for fd in os.listdir(f"/proc/{pid}/fd")]
    assert not [f for f in open_files if f.endswith((".key", ".pem", ".conf"))], open_files
    assert not [f for f in open_files if f.startswith(TOP)], open_files


def test_the_privileged_process_loads_no_tls_no_parser_no_loop(lab, agent):
    with open(f"/proc/{agent.pid}/maps", encoding="ascii") as f:
        text = f.read()
    for library in ("libssl", "libcrypto", "libevent", "libprotobuf", "libpcap"):
        assert library not in text, library
    with open(f"/proc/{agent.net_pid}/maps", encoding="ascii") as f:
        assert "libpcap" not in f.read()


def test_without_the_right_to_capture_it_says_so_in_one_line(lab):
    refused = Proc(lab, "capagent", [
        "setpriv", "--bounding-set=-net_raw", "--inh-caps=-net_raw", f"{lab.release}/server/capagent",
        "--listen", "127.0.0.1:0", "--cert", lab.pki.path("agent.pem"), "--key",
        lab.pki.path("agent.key"), "--ca", lab.pki.path("ca.pem")], ns=lab.net.sensor)
    assert refused.wait() not in (0, 2)
    errors = [line for line in refused.err.lines() if "CAP_NET_RAW" in line]
    assert len(errors) == 1, refused.err.text()


@pytest.mark.parametrize("conf,cause", [
    ("nonsense = 1\n", ":1: "), ("listen = 127.0.0.1:0\nmax-captures = many\n", ":2: "),
    ("namespaces = all\n", "namespaces"), ("mandatory-filter = udp and and\n", "syntax error"),
])
def test_a_configuration_that_is_not_understood_names_file_and_line(lab, conf, cause):
    agent = lab.agent(conf=conf, ready=False)
    assert agent.wait() not in (0, 2)
    assert cause in agent.err.text() and ".conf" in agent.err.text()
    assert not lab.connections()


def test_a_configuration_that_others_may_write_is_refused(lab):
    path = lab.file("open.conf")
    with open(path, "w", encoding="ascii") as f:
        f.write("interfaces = cap0\n")
    os.chmod(path, 0o666)
    agent = lab.agent(ready=False, extra=("--config", path))
    assert agent.wait() not in (0, 2)
    assert path in agent.err.text()


def test_checking_only_ends_with_the_verdict(lab):
    agent = lab.agent(ready=False, extra=("-n",))
    assert agent.wait() == 0
    agent = lab.agent(ready=False, extra=("-n",), cert="nothing")
    assert agent.wait() != 0


def test_an_address_in_use_is_named(lab, agent):
    second = lab.agent(ready=False)
    assert second.wait() not in (0, 2)
    assert "9443" in second.err.text() and "in use" in second.err.text()
    assert agent.is_running()


def test_a_real_port_is_reported_when_any_was_asked_for(lab):
    agent = lab.agent(listen=("127.0.0.1:0", "[::1]:0"))
    assert len(agent.addresses) == 2
    for address in agent.addresses:
        assert int(address.rsplit(":", 1)[1]) > 0
    net_pid = agent.net_pid
    assert agent.stop() == 0
    eventually(lambda: not os.path.exists(f"/proc/{net_pid}"), 5)
