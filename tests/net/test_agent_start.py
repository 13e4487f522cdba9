"""What capagent says before it starts: checks, refusals, statuses."""
import os
import socket
import subprocess

import pytest

from lab import CLIENT4, SENSOR4, TOP

USAGE, CONFIG, PRIVILEGE, ADDRESS = 2, 3, 4, 5
CONF = """\
# one
interfaces = cap0
interfaces = mgmt0, lo
max-snaplen = 128
promiscuous = no
mandatory-filter = not port 22
max-captures = 3
"""


def check(lab, **kwargs):
    """capagent -n, ended."""
    agent = lab.agent(extra=("-n",), ready=False, **kwargs)
    agent.wait(20)
    return agent


def refused(agent, status, *words):
    """Ended with one line that holds the words."""
    assert agent.wait(20) == status, agent.report()
    lines = [line for line in agent.err.lines() if line.startswith("capagent: error")]
    lines = lines or agent.err.lines()
    assert len(lines) == 1, agent.report()
    for word in words:
        assert word in lines[0], lines[0]


def test_a_check_prints_what_would_hold(lab):
    agent = check(lab, conf=CONF)
    assert agent.popen.returncode == 0, agent.report()
    for line in ("interfaces: cap0 mgmt0, lo", "max-snaplen: 128", "promiscuous: no",
                 "mandatory-filter: not port 22", "max-captures: 3", "max-interfaces: 256",
                 "ring-memory: 512 MiB", "listen: 0.0.0.0:9443", "everything is in order"):
        assert line in agent.out.lines(), agent.out.text()


def test_a_check_does_not_disturb_an_agent_that_runs(lab, agent):
    assert check(lab).popen.returncode == 0
    assert agent.is_running()


def test_a_check_ends_like_the_start_it_checks(lab):
    wrong = (
        (CONFIG, {"conf": "interfaces = lo\n    max-snaplen = 128\n"}, ":2: ", "blank"),
        (CONFIG, {"conf": "\nmandatory-filter = not prot 22\n"}, ".conf:2: ", "mandatory-filter"),
        (CONFIG, {"cert": "nobody"}, "nobody.pem", "capcert"),
        (ADDRESS, {"listen": (f"{CLIENT4}:9443",)}, CLIENT4, "not an address of this host"),
    )
    for status, kwargs, *words in wrong:
        refused(check(lab, **kwargs), status, *words)
        refused(lab.agent(ready=False, **kwargs), status, *words)
    refused(check(lab, listen=("nowhere",)), USAGE, "nowhere")


def test_a_port_in_use_ends_a_start_but_not_a_check(lab):
    other = lab.net.socket(lab.net.sensor, socket.AF_INET, socket.SOCK_STREAM)
    with other:
        other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)     # after other tests
        other.bind((SENSOR4, 9443))
        other.listen()
        assert check(lab, listen=(f"{SENSOR4}:9443",)).popen.returncode == 0
        refused(lab.agent(listen=(f"{SENSOR4}:9443",), ready=False), ADDRESS, "in use")


def test_a_plain_user_is_told_about_the_privilege_first(lab):
    program = os.path.join(lab.release, "server/capagent")
    for extra in ((), ("-n",)):
        done = subprocess.run(
            ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups",
             "--bounding-set=-all", program, "--config", "/root/nothing", *extra],
            check=False, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, timeout=20)
        assert done.returncode == PRIVILEGE, done.stderr
        assert done.stderr.count("\n") == 1 and "CAP_NET_RAW" in done.stderr


@pytest.mark.parametrize("fd", [0, 1, 2])
def test_readiness_needs_a_descriptor_of_its_own(lab, fd):
    """It is closed after the line, and the log goes to one of these."""
    agent = lab.agent(ready=False, extra=("--ready-fd", str(fd)))
    refused(agent, USAGE, f"--ready-fd {fd}")


def test_what_is_installed_starts(lab):
    """Staged somewhere else, as a package would be, each part in its place."""
    stage = lab.file("stage")
    subprocess.run(["cmake", "--install", lab.release], check=True, stdout=subprocess.DEVNULL,
                   env={**os.environ, "DESTDIR": stage})
    top = os.path.join(stage, "usr/local")
    for name in ("sbin/capagent", "libexec/capagent/capagent-net", "bin/capclient", "bin/capfilter",
                 "bin/capcert"):
        assert os.access(os.path.join(top, name), os.X_OK), name
    for name in ("man1/capclient.1", "man1/capfilter.1", "man5/capagent.conf.5", "man8/capagent.8"):
        assert os.path.exists(os.path.join(top, "share/man", name)), name
    subprocess.run([f"{top}/bin/capcert", "--dir", lab.file("pki"), "init"], check=True,
                   stdout=subprocess.DEVNULL)
    args = []
    for option, name in (("--cert", "agent.pem"), ("--key", "agent.key"), ("--ca", "ca.pem")):
        args += [option, lab.pki.path(name)]
    done = subprocess.run([f"{top}/sbin/capagent", "-n", *args], check=False, cwd=TOP, text=True,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=20)
    assert done.returncode == 0 and "everything is in order" in done.stdout, done.stderr
