"""certs/capcert: what it makes, and what it refuses."""
import os
import re
import stat
import subprocess

import pytest

from lab import TOP, run

CAPCERT = os.path.join(TOP, "certs/capcert")


def capcert(*args, cwd=None):
    return subprocess.run([CAPCERT, *args], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, text=True, cwd=cwd, check=False)


def mode(path):
    return stat.S_IMODE(os.stat(path).st_mode)


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    directory = str(tmp_path_factory.mktemp("made") / "pki")
    for args in (("init",), ("agent", "sensor1", "--san", "DNS:sensor1,IP:10.0.0.7,IP:fd00::7"),
                 ("client", "alice")):
        done = capcert("--dir", directory, *args)
        assert done.returncode == 0, done.stderr
    return directory


def verifies(directory, name, purpose, *extra):
    done = subprocess.run(["openssl", "verify", "-x509_strict", "-CAfile", f"{directory}/ca.pem",
                           "-purpose", purpose, *extra, f"{directory}/{name}.pem"],
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, check=False)
    return done.returncode == 0


def test_agent_certificates_are_for_servers_only(made):
    assert verifies(made, "sensor1", "sslserver")
    assert not verifies(made, "sensor1", "sslclient")


def test_client_certificates_are_for_clients_only(made):
    assert verifies(made, "alice", "sslclient")
    assert not verifies(made, "alice", "sslserver")


def test_an_agent_has_exactly_the_names_it_was_given(made):
    def is_known_as(flag, value):
        return verifies(made, "sensor1", "sslserver", flag, value)

    assert is_known_as("-verify_hostname", "sensor1")
    assert is_known_as("-verify_ip", "10.0.0.7")
    assert is_known_as("-verify_ip", "fd00::7")
    assert not is_known_as("-verify_hostname", "sensor2")
    assert not is_known_as("-verify_ip", "10.0.0.8")


def test_without_san_the_name_itself_is_used(made):
    for name, flag in (("sensor9", "-verify_hostname"), ("10.0.0.9", "-verify_ip")):
        assert capcert("--dir", made, "agent", name).returncode == 0
        assert verifies(made, name, "sslserver", flag, name)


def test_names_and_addresses_may_be_given_as_they_are(made):
    assert capcert("--dir", made, "agent", "plain", "--san", "sensor5,10.0.0.5,fd00::5").returncode == 0
    assert verifies(made, "plain", "sslserver", "-verify_hostname", "sensor5")
    for address in ("10.0.0.5", "fd00::5"):
        assert verifies(made, "plain", "sslserver", "-verify_ip", address)


def test_keys_are_private_and_on_p256(made):
    for name in ("ca", "sensor1", "alice"):
        assert mode(f"{made}/{name}.key") == 0o600
        assert "prime256v1" in run("openssl", "pkey", "-in", f"{made}/{name}.key", "-noout", "-text")


def test_keys_are_private_under_any_umask(tmp_path):
    done = subprocess.run(["sh", "-c", f"umask 0; exec '{CAPCERT}' --dir '{tmp_path}/pki' init"],
                          check=False, stdout=subprocess.DEVNULL)
    assert done.returncode == 0
    assert mode(tmp_path / "pki/ca.key") == 0o600
    assert mode(tmp_path / "pki") == 0o700


def test_the_authority_may_only_sign(made):
    text = run("openssl", "x509", "-in", f"{made}/ca.pem", "-noout", "-text")
    assert re.search(r"Basic Constraints: critical\s+CA:TRUE, pathlen:0", text)
    assert re.search(r"Key Usage: critical\s+Certificate Sign, CRL Sign", text)
    assert "Subject Key Identifier" in text


def test_nothing_is_overwritten(made):
    before = {name: open(f"{made}/{name}", "rb").read() for name in sorted(os.listdir(made))}
    for args in (("init",), ("agent", "sensor1"), ("client", "alice")):
        done = capcert("--dir", made, *args)
        assert done.returncode == 1
        assert "not overwritten" in done.stderr and done.stderr.count("\n") == 1
    # One half that exists is enough to refuse, and the other does not appear.
    os.rename(f"{made}/alice.pem", f"{made}/kept")
    assert capcert("--dir", made, "client", "alice").returncode == 1
    assert not os.path.exists(f"{made}/alice.pem")
    os.rename(f"{made}/kept", f"{made}/alice.pem")
    assert before == {name: open(f"{made}/{name}", "rb").read() for name in sorted(os.listdir(made))}


def test_a_failure_leaves_nothing_behind(made, tmp_path):
    before = sorted(os.listdir(made))
    broken = str(tmp_path / "broken")
    os.mkdir(broken)
    for name in ("ca.pem", "ca.key"):
        with open(f"{made}/{name}", "rb") as src, open(f"{broken}/{name}", "wb") as dst:
            dst.write(src.read() if name == "ca.pem" else b"not a key\n")
    done = capcert("--dir", broken, "client", "bob")
    assert done.returncode == 1 and "openssl" in done.stderr and done.stderr.count("\n") == 1
    assert sorted(os.listdir(broken)) == ["ca.key", "ca.pem"]
    assert sorted(os.listdir(made)) == before


@pytest.mark.parametrize("args", [
    (), ("nonsense",), ("init", "name"), ("agent",), ("client", "a", "b"),
    ("client", "../alice"), ("client", "a/b"), ("client", ""), ("client", "-x"), ("client", "ca"),
    ("client", "a b"), ("client", "a\nb"), ("agent", "x" * 65),
    ("agent", "s", "--san", "email:copy"), ("agent", "s", "--san", "DNS:a,,DNS:b"),
    ("agent", "s", "--san", "IP:300.0.0.1"), ("agent", "s", "--san", "DNS:a\n[x]"),
    ("agent", "s", "--san", "IP:1:2:3"), ("agent", "s", "--san", "1::2::3"),
    ("agent", "s", "--san", "IP:sensor2"), ("agent", "s", "--san", "10.0.0.300"),
    ("agent", "s", "--san", "a b"), ("agent", "s", "--san", "sensor2,"),
    ("agent", "s", "--san", ""), ("client", "c", "--san", "DNS:c"),
    ("--days", "0", "client", "c"), ("--days", "1x", "client", "c"), ("--days",), ("--bogus",),
])
def test_bad_usage_is_one_line_and_status_2(made, args):
    before = sorted(os.listdir(made))
    done = capcert("--dir", made, *args)
    assert done.returncode == 2, done.stderr
    assert done.stderr.count("capcert: ") == 1
    assert sorted(os.listdir(made)) == before


def test_without_an_authority_it_names_the_command_that_makes_one(tmp_path):
    done = capcert("--dir", str(tmp_path), "client", "alice")
    assert done.returncode == 1
    assert f"{tmp_path}/ca.pem" in done.stderr and "init" in done.stderr


def test_the_current_folder_is_the_default(tmp_path):
    assert capcert("init", cwd=tmp_path).returncode == 0
    done = capcert("client", "alice", "--days=30", cwd=tmp_path)
    assert done.returncode == 0
    assert sorted(os.listdir(tmp_path)) == ["alice.key", "alice.pem", "ca.key", "ca.pem"]
    left = run("openssl", "x509", "-in", str(tmp_path / "alice.pem"), "-noout", "-checkend",
               str(29 * 86400))
    assert "will not expire" in left


def test_it_says_what_to_copy_where(made, tmp_path):
    done = capcert("--dir", made, "agent", "sensor7")
    for name in ("agent.pem", "agent.key", "ca.pem"):
        assert f"/etc/capagent/{name}" in done.stdout
    done = capcert("--dir", made, "client", "bob@example.org")
    for name in ("client.pem", "client.key", "ca.pem"):
        assert f"~/.config/capclient/{name}" in done.stdout
