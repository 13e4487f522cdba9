"""Who is let in: each refusal by the right side, with the same cause on both."""
import datetime
import os
import re
import socket
import ssl
import threading

import pytest

from lab import SENSOR4, eventually
from wire import Wire, hello

CA = "certificate is not from the expected CA"
NAME = "certificate does not carry the host name asked for"
SELF = "self-signed certificate"
EXPIRED = "certificate has expired"
PURPOSE_AGENT = "certificate is not for an agent"
PURPOSE_CLIENT = "certificate is not for a client"
NONE = "no client certificate"
PAST = (datetime.datetime(2020, 1, 1), datetime.datetime(2020, 2, 1))


@pytest.fixture(scope="module")
def issued(pki):
    """More certificates than capcert makes."""
    pki.other()
    pki.issue_self_signed("client", "self-client")
    pki.issue_self_signed("agent", "self-agent")
    pki.issue_dated("client", "old-client", *PAST)
    pki.issue_dated("agent", "old-agent", *PAST)
    return pki


def refused(client, cause, status=4):
    """One line with the cause; never a word of success."""
    got = client.wait(20)
    text = client.err.text()
    assert got == status, f"status {got}\n{text}"
    assert len(client.err.lines()) == 1, text
    assert cause in text
    assert "connected" not in text and "listening" not in text


def start(lab, **kwargs):
    return lab.client("-i", "cap0", "-w", lab.file("a.pcapng"), **kwargs)


def test_a_client_of_another_authority_is_refused_by_the_agent(lab, agent, issued):
    refused(start(lab, cert="other/client"), CA)
    assert "certificate" in agent.err.wait(CA).string
    assert not os.path.exists(lab.file("a.pcapng"))


def test_an_agent_of_another_authority_is_refused_by_the_client(lab, issued):
    agent = lab.agent(cert="other/agent")
    refused(start(lab), CA)
    agent.err.wait(f"client refused our certificate: {CA}")


def test_a_client_that_trusts_another_authority_refuses(lab, agent, issued):
    refused(start(lab, ca="other/ca.pem"), CA)
    agent.err.wait(f"client refused our certificate: {CA}")


@pytest.mark.parametrize("name", ["sensor2", "10.9.0.77"])
def test_the_wrong_host_name_is_refused_by_the_client(lab, agent, name):
    refused(lab.client("-i", "cap0", "-w", lab.file("a.pcapng"), "--server-name", name), NAME)
    agent.err.wait(f"client refused our certificate: {NAME}")


def test_another_name_of_the_agent_is_verified_on_request(lab, agent):
    client = lab.capture("-i", "cap0", "-w", lab.file("a.pcapng"), "--server-name", "sensor1")
    assert client.interrupt() == 0


def test_a_self_signed_client_is_refused_by_the_agent(lab, agent, issued):
    refused(start(lab, cert="self-client"), SELF)
    agent.err.wait(SELF)


def test_a_self_signed_agent_is_refused_by_the_client(lab, issued):
    agent = lab.agent(cert="self-agent")
    refused(start(lab), SELF)
    agent.err.wait(f"client refused our certificate: {SELF}")


def test_an_agent_whose_certificate_ends_is_refused_from_then_on(lab, issued):
    now = datetime.datetime.utcnow().replace(microsecond=0)
    end = now + datetime.timedelta(seconds=4)
    issued.issue_dated("agent", "short-agent", now - datetime.timedelta(days=1), end)
    agent = lab.agent(cert="short-agent")
    client = lab.capture("-i", "cap0", "-w", lab.file("b.pcapng"), "--server-name", "sensor1")
    eventually(lambda: datetime.datetime.utcnow() > end + datetime.timedelta(seconds=1), 10)
    refused(start(lab), EXPIRED)
    agent.err.wait(f"client refused our certificate: {EXPIRED}")
    # Who was let in before goes on.
    assert client.interrupt() == 0


@pytest.mark.parametrize("cert,cause", [
    ("old-client", EXPIRED), ("agent", PURPOSE_CLIENT), ("self-client", SELF), (None, NONE),
])
def test_the_agent_refuses_also_clients_that_do_not_check_themselves(
        lab, agent, issued, cert, cause):
    with pytest.raises((ssl.SSLError, EOFError, ConnectionError)):
        # TLS 1.3: the client's handshake ends first; the refusal comes after.
        with Wire(lab, issued, cert=cert) as wire:
            wire.send(hello())
            wire.receive()
    agent.err.wait(cause)


@pytest.mark.parametrize("cert,cause", [("old-client", EXPIRED), ("agent", PURPOSE_CLIENT)])
def test_capclient_knows_before_it_connects(lab, agent, issued, cert, cause):
    client = start(lab, cert=cert)
    status = client.wait()
    assert status not in (0, 2)
    assert len(client.err.lines()) == 1 and cause in client.err.text()
    assert issued.path(cert + ".pem") in client.err.text()


@pytest.mark.parametrize("cert,cause", [("old-agent", EXPIRED), ("client", PURPOSE_AGENT)])
def test_capagent_does_not_start_with_a_certificate_of_no_use(lab, issued, cert, cause):
    agent = lab.agent(cert=cert, ready=False)
    assert agent.wait() not in (0, 2)
    assert cause in agent.err.text() and issued.path(cert + ".pem") in agent.err.text()


class FakeAgent:
    """A TLS server with any certificate; keeps what the client told it."""

    def __init__(self, lab, pki, cert):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_3
        context.set_alpn_protocols(["capture/1"])
        context.load_cert_chain(pki.path(cert + ".pem"), pki.path(cert + ".key"))
        context.load_verify_locations(pki.path("ca.pem"))
        context.verify_mode = ssl.CERT_REQUIRED
        self.listening = lab.net.socket(lab.net.sensor)
        self.listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.listening.bind((SENSOR4, 9443))
        self.listening.listen()
        self.listening.settimeout(20)
        self.error = None
        self.thread = threading.Thread(target=self._serve, args=(context,), daemon=True)
        self.thread.start()

    def _serve(self, context):
        sock, _ = self.listening.accept()
        try:
            with context.wrap_socket(sock, server_side=True) as conn:
                conn.recv(1)
        except OSError as error:
            self.error = error
        self.listening.close()


@pytest.mark.parametrize("cert,cause", [
    ("old-agent", EXPIRED), ("client", PURPOSE_AGENT), ("self-agent", SELF),
    ("other/agent", CA),
])
def test_the_client_refuses_also_agents_that_do_not_check_themselves(lab, issued, cert, cause):
    fake = FakeAgent(lab, issued, cert)
    refused(start(lab), cause)
    fake.thread.join(10)
    assert isinstance(fake.error, ssl.SSLError), fake.error


def test_whoever_hangs_up_on_a_handshake_is_no_agent(lab):
    listening = lab.net.socket(lab.net.sensor)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listening.bind((SENSOR4, 9443))
    listening.listen()
    listening.settimeout(20)
    client = start(lab)
    sock, _ = listening.accept()
    # Closed with bytes that nobody read: a reset.
    sock.recv(1)
    sock.close()
    listening.close()
    assert client.wait() == 3, client.report()
    assert "is it an agent that listens there?" in client.err.text()


def test_missing_certificates_name_the_file_and_the_command_that_makes_it(lab):
    client = lab.client("-i", "cap0", "-w", lab.file("a.pcapng"), cert=None)
    assert client.wait() not in (0, 2)
    assert len(client.err.lines()) == 1
    text = client.err.text()
    assert f"{lab.home}/.config/capclient/client.pem" in text and "capcert" in text
    agent = lab.agent(cert="nothing", ready=False)
    assert agent.wait() not in (0, 2)
    assert "nothing.pem" in agent.err.text() and "capcert" in agent.err.text()


def test_the_start_line_says_who_may_capture_what(lab):
    agent = lab.agent()
    assert re.search(r"every client certificate of .*ca\.pem may capture everything",
                     agent.err.text())
    assert agent.stop() == 0
    agent = lab.agent(conf="interfaces = cap0\n")
    assert re.search(r"capagent-\d+\.conf.*every client certificate of .*ca\.pem",
                     agent.err.text())


def test_only_tls_13_is_spoken(lab, agent, pki):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    context.load_verify_locations(pki.path("ca.pem"))
    context.load_cert_chain(pki.path("client.pem"), pki.path("client.key"))
    raw = lab.net.connect((SENSOR4, 9443))
    with pytest.raises(ssl.SSLError):
        context.wrap_socket(raw, server_hostname=SENSOR4)
    agent.err.wait("does not speak TLS 1.3")
