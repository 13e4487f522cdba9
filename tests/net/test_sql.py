"""bpf_filter.so: filters over connections and packets in SQLite's shell and in Python's driver."""
import random
import subprocess

import pytest

import frames
import offline
import sqlext
from sqlext import EXAMPLE, ONE, PLAIN, SIX, error, value


ROWS = (
    # type, local, remote, transport; the name is what finds the row
    ("accept", "10.0.0.5", 445, "9.8.7.6", 40001, "tcp", "in"),
    ("reject", "10.0.0.5", 445, "99.8.7.6", 40002, "tcp", "high"),
    ("reject", "10.0.0.5", 445, "33.8.7.6", 40003, "tcp", "refused"),
    ("connect", "10.0.0.5", 40004, "9.8.7.6", 445, "tcp", "out"),
    ("connect", "192.0.2.5", 40005, "9.8.7.6", 445, "tcp", "out, high"),
    ("connect", "10.0.0.5", 445, "9.8.7.6", 40006, "tcp", "out, other port"),
    ("listen", "0.0.0.0", 445, "", None, "tcp", "listening"),
    ("accept", "10.0.0.5", 445, "9.8.7.6", 40007, "udp", "in, udp"),
    ("accept", "::ffff:10.0.0.5", 445, "::ffff:9.8.7.6", 40008, "tls", "mapped"),
    ("accept", "fd00::5", 445, "2001:db8::1", 40009, "tcp", "six"),
    ("accept", "10.0.0.5", 445, "2001:db8::1", 40010, "tcp", "two families"),
    ("accept", "10.0.0.5", 445, "a name", 40011, "tcp", "no address"),
    ("accept", None, 445, "9.8.7.6", 40012, "tcp", "no local host"),
    ("accept", "10.0.0.5", 445, "", 40013, "tcp", "no remote host"),
)


@pytest.fixture
def db():
    made = sqlext.connect()
    yield made
    made.close()


def fill_dionaea(db):
    db.execute(sqlext.DIONAEA)
    db.executemany("INSERT INTO connections (connection_type, local_host, local_port, remote_host, "
                   "remote_port, connection_transport, connection_protocol) "
                   "VALUES (?, ?, ?, ?, ?, ?, ?)", ROWS)


def names(db, expression):
    return [name for name, in db.execute(
        f"SELECT connection_protocol FROM connections WHERE bpf_filter(?, {sqlext.SEVEN}) "
        "ORDER BY connection", (expression,))]


# --- connections ---

@pytest.mark.parametrize("expression,want", [
    ("dst port 445 and src net 0.0.0.0/2",
     ["in", "refused", "out", "in, udp", "mapped", "no local host", "no remote host"]),
    ("dst port 445 and src net 192.0.0.0/8", ["out, high"]),
    ("src port 445", ["out, other port"]),
    ("udp", ["in, udp"]),
    ("ip6", ["six"]),
    ("ip6 and dst port 445 and src net 2001:db8::/32", ["six"]),
    ("tcp and src host 9.8.7.6", ["in", "mapped", "no local host"]),
    ("dst host 0.0.0.0", ["no local host"]),
    ("src host 0.0.0.0", ["no remote host"]),
])
def test_the_query_over_a_table_of_dionaea(db, expression, want):
    fill_dionaea(db)
    assert names(db, expression) == want


def test_the_same_query_in_the_stock_shell(db):
    fill_dionaea(db)
    status, out, err = sqlext.shell(
        "\n".join(db.iterdump()) +
        "\nSELECT connection_protocol FROM connections WHERE "
        f"bpf_filter('dst port 445 and src net 0.0.0.0/2', {sqlext.SEVEN});\n")
    assert (status, err) == (0, "")
    assert out.splitlines() == ["in", "refused", "out", "in, udp", "mapped", "no local host",
                                "no remote host"]


def test_columns_of_zeek_work_as_they_are(db):
    db.execute('CREATE TABLE conn (uid, "id.orig_h", "id.orig_p", "id.resp_h", "id.resp_p", proto)')
    db.executemany("INSERT INTO conn VALUES (?, ?, ?, ?, ?, ?)", [
        ("dns", "10.0.0.1", 5353, "10.0.0.2", 53, "udp"),
        ("ping", "10.0.0.1", 8, "10.0.0.2", 0, "icmp"),
        ("unreachable", "10.0.0.1", 3, "10.0.0.2", 3, "icmp"),
        ("ping6", "fd00::1", 128, "fd00::2", 129, "icmp"),
        ("text", "10.0.0.1", "40000", "10.0.0.2", "443", "tcp"),
        ("gre", "10.0.0.1", 0, "10.0.0.2", 0, "unknown_transport"),
    ])

    def uids(expression):
        return [uid for uid, in db.execute(
            'SELECT uid FROM conn WHERE bpf_filter(?, "id.orig_h", "id.resp_h", "id.orig_p", '
            '"id.resp_p", proto)', (expression,))]
    assert uids("dst port 53") == ["dns"]
    assert uids("icmp[icmptype] = icmp-echo") == ["ping"]
    assert uids("icmp[icmptype] = 3 and icmp[icmpcode] = 3") == ["unreachable"]
    assert uids("icmp") == ["ping", "unreachable"]
    assert uids("icmp6[icmp6type] = icmp6-echo") == ["ping6"]
    assert uids("tcp dst port 443") == ["text"]


ZEEKS_PAIRS = {"icmp": ((8, 0), (9, 10), (13, 14), (15, 16), (17, 18)),
               "icmp6": ((128, 129), (130, 131), (133, 134), (135, 136), (139, 140), (144, 145))}


@pytest.mark.parametrize("layer", ZEEKS_PAIRS)
def test_zeeks_type_of_the_answer_is_no_code(db, layer):
    hosts = "'10.0.0.1', '10.0.0.2'" if layer == "icmp" else "'fe80::1', 'ff02::1'"

    def code(kind, second):
        found = [found for found in range(256) if value(
            db, f"SELECT bpf_filter('{layer}[0] = {kind} and {layer}[1] = {found}', "
            f"{hosts}, {kind}, {second}, 'icmp')")]
        assert len(found) == 1
        return found[0]
    for pair in ZEEKS_PAIRS[layer]:
        for kind, other in (pair, pair[::-1]):
            assert code(kind, other) == 0
            assert code(kind, 0) == 0
            assert code(kind, other + 1) == other + 1
    assert code(3, 1) == 1 and code(136, 128) == 128


@pytest.mark.parametrize("given", [
    "'10.0.0.1', 'fd00::1', 1, 2, 'tcp'", "'fd00::1', '10.0.0.1', 1, 2, 'tcp'",
    "'nonsense', '10.0.0.1', 1, 2, 'tcp'", "'10.0.0.1', '10.0.0', 1, 2, 'tcp'",
    "'10.0.0.1 ', '10.0.0.2', 1, 2, 'tcp'", "'10.0.0.1', '10.0.0.256', 1, 2, 'udp'",
    "'10.0.0.1', '10.0.0.2.3', 1, 2, 'tcp'", "'10..0.1', '10.0.0.2', 1, 2, 'tcp'",
    "12, '10.0.0.2', 1, 2, 'udp'", "'10.0.0.1', '10.0.0.2', 1, 2, 'nonsense'",
    "'10.0.0.1', '10.0.0.2', 1, 2, NULL", "'10.0.0.1', '10.0.0.2', 1, 2, 256",
    "'10.0.0.1', '10.0.0.2', 1, 2, 'icmp6'", "'10.0.0.1', '10.0.0.2', 256, 0, 'icmp'",
    "'10.0.0.1', '10.0.0.2', -1, 2, 'tcp'", "'10.0.0.1', '10.0.0.2', 1, 65536, 'udp'",
    "'10.0.0.1', '10.0.0.2', 'http', 2, 'tcp'", "'10.0.0.1', '10.0.0.2', 0.5, 2, 'tcp'",
    "'listen', '10.0.0.1', '10.0.0.2', 1, 2, 'tcp'", "'other', '10.0.0.1', '10.0.0.2', 1, 2, 'tcp'",
    "NULL, '10.0.0.1', '10.0.0.2', 1, 2, 'tcp'",
])
def test_what_is_no_connection_matches_nothing_and_ends_no_query(db, given):
    assert value(db, f"SELECT bpf_filter('', {given})") == 0
    # Not its opposite either, and the next row is answered.
    assert db.execute(f"SELECT bpf_filter('not tcp port 9', {given}) UNION ALL "
                      f"SELECT bpf_filter('not tcp port 9', {ONE})").fetchall() == [(0,), (1,)]


@pytest.mark.parametrize("port", ["NULL", "''", "0", "'0'", "0.0"])
def test_a_port_that_is_not_there_is_0(db, port):
    given = f"'10.0.0.1', '10.0.0.2', {port}, 445, 'tcp'"
    for expression, want in (("port 0", 1), ("dst port 0", 0), ("src port 0 and dst port 445", 1)):
        assert value(db, f"SELECT bpf_filter(?, {given})", expression) == want


def test_null_for_the_expression_is_null(db):
    assert db.execute(f"SELECT bpf_filter(NULL, {ONE}), bpf_filter(NULL, 'accept', '', '', 1, 2, 6), "
                      "bpf_match(NULL, x'00'), bpf_explain(NULL)").fetchall() == [(None,) * 4]


def test_seven_arguments_do_not_know_the_type_of_icmp(db):
    given = "'accept', '10.0.0.1', '10.0.0.2', 8, 0, 'icmp'"
    assert value(db, f"SELECT bpf_filter('icmp', {given})") == 1
    assert "ICMP type" in error(db, f"SELECT bpf_filter('icmp[icmptype] = 8', {given})")


@pytest.mark.parametrize("transport,expression", [
    ("'tcp'", "tcp"), ("'tls'", "tcp"), ("'TCP'", "tcp"), ("'udp'", "udp"), ("'dtls'", "udp"),
    ("'sctp'", "sctp"), ("'icmp'", "icmp"), ("6", "tcp"), ("17", "udp"), ("132", "sctp"), ("1", "icmp"),
    ("47", "ip proto 47"), ("'47'", "ip proto 47"),
])
def test_transports_by_name_and_by_number(db, transport, expression):
    given = f"'10.0.0.1', '10.0.0.2', 8, 0, {transport}"
    assert value(db, f"SELECT bpf_filter(?, {given})", expression) == 1
    assert value(db, f"SELECT bpf_filter(?, {given})", f"not ({expression})") == 0


# --- packets ---

def test_the_example_of_2010_matches_with_its_40_bytes(db):
    assert len(EXAMPLE) == 40
    query = "SELECT bpf_match('src port 445 and src net 127.0.0.0/8', ?, ?)"
    assert value(db, query, EXAMPLE, 12) == 40
    assert value(db, "SELECT bpf_match('src port 446', ?, 12)", EXAMPLE) == 0
    assert value(db, "SELECT bpf_match('tcp', NULL, 12)") is None


def test_the_original_length_is_what_len_asks_for(db):
    assert value(db, "SELECT bpf_match('greater 91', ?, 12)", EXAMPLE) == 0
    assert value(db, "SELECT bpf_match('greater 91', ?, 12, 91)", EXAMPLE) == 40


def test_packets_are_answered_as_libpcap_answers(db):
    rng = random.Random(11)
    packets = [frame.data[:rng.choice((20, 60, 9018))] for frame in frames.mixed(200)]
    db.execute("CREATE TABLE packets (data BLOB)")
    db.executemany("INSERT INTO packets VALUES (?)", [(data,) for data in packets])
    seen = set()
    for text in ("udp", "vlan", "vlan 100 and ip", "tcp[tcpflags] & tcp-syn != 0", "greater 200",
                 "ip[8] > 3", "arp", "ip6", "not ip", "port 9", "ether[0] & 1 != 0", "len = 60"):
        matches = offline.Filter(text).matches
        got = [answer for answer, in db.execute("SELECT bpf_match(?, data) FROM packets ORDER BY rowid",
                                                (text,))]
        # As libpcap returns it: the snapshot length, which is the buffer's.
        assert got == [len(data) if matches(data) else 0 for data in packets], text
        seen.update(bool(answer) for answer in got)
    assert seen == {True, False}


def test_the_link_type_may_be_another_one_in_each_row(db):
    ethernet = bytes(12) + b"\x08\x00" + EXAMPLE
    rows = [(EXAMPLE, 12), (ethernet, 1), (EXAMPLE, "RAW"), (ethernet, None), (EXAMPLE, 1), (ethernet, 101)]
    db.execute("CREATE TABLE packets (data BLOB, type)")
    db.executemany("INSERT INTO packets VALUES (?, ?)", rows)
    got = [found for found, in db.execute("SELECT bpf_match('src port 445', data, type) FROM packets")]
    assert got == [40, 54, 40, 54, 0, 0]


def test_the_listing_is_tcpdumps(db):
    listing = value(db, "SELECT bpf_explain('tcp port 80')")
    tcpdump = subprocess.run(["tcpdump", "-y", "EN10MB", "-d", "tcp port 80"], check=True,
                             capture_output=True, text=True).stdout
    # The bytes that a match returns are the snapshot length: another number.
    assert listing.strip().splitlines()[:-2] == tcpdump.strip().splitlines()[:-2]
    raw = value(db, "SELECT bpf_explain('tcp port 80', 12)")
    assert raw != listing and value(db, "SELECT bpf_explain('tcp port 80', 'RAW')") == raw


# --- errors ---

@pytest.mark.parametrize("expression,words", [
    ("tcp udp", "syntax error"), ("tcp port", "syntax error"), ("port 99999", "illegal port"),
    ("ip6 host 10.0.0.1", "ip6"), ("net 10.0.0.1/8", "non-network bits"),
])
@pytest.mark.parametrize("call", [
    f"bpf_filter(?, {ONE})", "bpf_filter(?, 'accept', '10.0.0.1', '10.0.0.2', 1, 2, 'tcp')",
    "bpf_match(?, x'4500', 12)", "bpf_explain(?)",
])
def test_a_bad_expression_is_libpcaps_error(db, call, expression, words):
    text = error(db, f"SELECT {call}", expression)
    assert expression in text and words in text and "\n" not in text
    # The connection lives on.
    assert value(db, f"SELECT bpf_filter('tcp', {ONE})") == 1


@pytest.mark.parametrize("expression", [
    "tcp[tcpflags] & tcp-syn != 0", "tcp[13] = 2", "udp[8] = 1", "greater 100", "less 100", "len > 60",
    "ip[8] = 64", "ip[2:2] > 100", "ip[0] & 0xf > 5", "ip[6] & 0x40 != 0", "udp[4:2] = 8", "tcp[20:4] = 1", "ip6[7] = 1",
    "tcp[((tcp[12] & 0xf0) >> 2):4] = 0x47455420", "ip[ip[8]] = 1", "tcp port 80 or ip[8] = 1",
    "host 10.0.0.1 and not (udp and greater 100)", "ip protochain 6", "inbound", "outbound",
])
def test_what_a_tuple_does_not_tell_is_refused_at_the_first_row(db, expression):
    db.execute(PLAIN)
    # No row of it reaches the check: what decides is the expression.
    db.execute("INSERT INTO plain VALUES ('fd00::1', 'fd00::2', 1, 2, 6)")
    for order in ("rowid", "-rowid"):
        text = error(db, f"SELECT bpf_filter(?, {SIX}) FROM plain ORDER BY {order}", expression)
        assert expression in text and "\n" not in text
        assert "tuple" in text or "connection" in text


NAMED = ("host www.evil.example", "src net evil", "net evil mask 255.0.0.0", "ether host evil", "gateway evil",
         "evil", "10.0.0.1.evil.example", "tcp or \\evil", "port 80 or (tcp) or evil", "host dead",
         "wlan addr1 evil")


@pytest.mark.parametrize("expression", NAMED)
@pytest.mark.parametrize("call", [
    f"bpf_filter(?, {ONE})", "bpf_filter(?, 'accept', '10.0.0.1', '10.0.0.2', 1, 2, 'tcp')",
    "bpf_match(?, x'4500', 12)", "bpf_explain(?)",
])
def test_names_of_hosts_are_not_looked_up(db, call, expression):
    text = error(db, f"SELECT {call}", expression)
    name = next(word for word in expression.split() if "evil" in word or word == "dead")
    assert f"name '{name}': names of hosts are not looked up from SQL: write the address" in text


@pytest.mark.parametrize("trusted", ["ON", "OFF"])
def test_a_view_does_not_send_rows_to_a_name_server(db, trusted):
    db.execute(f"PRAGMA trusted_schema = {trusted}")
    db.execute("CREATE TABLE secrets (s)")
    db.execute("INSERT INTO secrets VALUES ('hunter2')")
    db.execute(f"CREATE VIEW leak AS SELECT bpf_filter('host ' || s || '.evil.example', {ONE}) FROM secrets")
    assert "name 'hunter2.evil.example'" in error(db, "SELECT * FROM leak")


@pytest.mark.parametrize("expression,want", [
    ("port http or https", 0), ("dst port (microsoft-ds or http)", 1), ("ip proto \\tcp", 1),
    ("portrange domain-https", 0),
])
def test_names_of_ports_and_protocols_are(db, expression, want):
    assert value(db, f"SELECT bpf_filter(?, {ONE})", expression) == want


@pytest.mark.parametrize("expression", ["vlan", "vlan 5", "mpls", "pppoes", "ether host 2:0:0:0:0:1"])
def test_what_raw_ip_does_not_have_is_refused(db, expression):
    text = error(db, f"SELECT bpf_filter(?, {ONE})", expression)
    assert expression in text and "\n" not in text


@pytest.mark.parametrize("expression", [
    # The byte is asked for, its value plays no part.
    "ip[8] >= 0", "tcp or (ip[8] >= 0 and udp)", "icmp[icmptype] = 8",
    "len >= 0",
])
def test_words_are_not_what_is_judged(db, expression):
    assert value(db, f"SELECT bpf_filter(?, {ONE})", expression) in (0, 1)


@pytest.mark.parametrize("sql,words", [
    ("SELECT bpf_filter('tcp')", "wrong number of arguments"),
    (f"SELECT bpf_filter('tcp', {ONE}, 1, 2)", "wrong number of arguments"),
    ("SELECT bpf_match('tcp')", "wrong number of arguments"),
    ("SELECT bpf_match('tcp', x'00', 1, 1, 1)", "wrong number of arguments"),
    ("SELECT bpf_explain()", "wrong number of arguments"),
    ("SELECT bpf_match('tcp', x'00', 'NOSUCHTYPE')", "link type"),
    ("SELECT bpf_match('tcp', x'00', 99999)", "link type"),
    ("SELECT bpf_match('tcp', x'00', -1)", "link type"),
    ("SELECT bpf_explain('tcp', 'NOSUCHTYPE')", "link type"),
    ("SELECT bpf_match('tcp', x'0000', 1, 1)", "length"),
    ("SELECT bpf_match('tcp', x'0000', 1, -1)", "length"),
])
def test_bad_arguments_are_told(db, sql, words):
    assert words in error(db, sql)


def test_an_expression_that_is_too_long_is_told(db):
    for expression in ("tcp".ljust(4097), "tcp or " * 100_000 + "udp"):
        text = error(db, f"SELECT bpf_filter(?, {ONE})", expression)
        assert "longer than 4096 bytes" in text and len(text) < 2000
    assert value(db, f"SELECT bpf_filter(?, {ONE})", "tcp".ljust(4096)) == 1


def test_loading_it_beside_a_running_statement_says_why_not():
    status, _, err = sqlext.shell(f"SELECT load_extension('{sqlext.EXTENSION}');\n")
    assert status != 0 and "bpf_filter: functions: define: unable to" in err


def test_a_bad_expression_ends_the_shells_query_with_its_status():
    status, out, err = sqlext.shell(f"SELECT bpf_filter('tcp port', {ONE});\nSELECT 'next';\n")
    assert status != 0 and "syntax error" in err
