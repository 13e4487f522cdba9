"""bpf_filter.so: filters over connections and packets in SQLite's shell and in Python's driver."""
import random
import resource
import sqlite3
import subprocess
import sys
import threading

import pytest

import frames
import offline
import sqlext
from sqlext import error, value

# The example of 2010: raw IP, 40 of 91 bytes of a TCP segment, 127.0.0.1:445 to itself.
EXAMPLE = bytes.fromhex("4500005b7e1f40004006be7b7f0000017f000001"
                        "01bdb07ee52351d3e567cecf80180182fe4f0000")
PLAIN = "CREATE TABLE plain (src, dst, sport, dport, transport)"
SIX = "src, dst, sport, dport, transport"
ONE = "'10.0.0.1', '10.0.0.2', 1024, 445, 'tcp'"

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


@pytest.mark.parametrize("given,expression", [
    ("'10.0.0.1', 'fd00::1', 1, 2, 'tcp'", ""), ("'fd00::1', '10.0.0.1', 1, 2, 'tcp'", ""),
    ("'nonsense', '10.0.0.1', 1, 2, 'tcp'", ""), ("'10.0.0.1', '10.0.0', 1, 2, 'tcp'", ""),
    ("'10.0.0.1', '10.0.0.2', 1, 2, 'nonsense'", ""), ("'10.0.0.1 ', '10.0.0.2', 1, 2, 'tcp'", ""),
    ("'10.0.0.1', '10.0.0.256', 1, 2, 'udp'", ""), ("12, '10.0.0.2', 1, 2, 'udp'", ""),
])
def test_what_is_no_connection_matches_nothing_and_ends_no_query(db, given, expression):
    assert value(db, f"SELECT bpf_filter(?, {given})", expression) == 0
    # Not its opposite either, and the next row is answered.
    assert db.execute(f"SELECT bpf_filter('not tcp port 9', {given}) UNION ALL "
                      f"SELECT bpf_filter('not tcp port 9', {ONE})").fetchall() == [(0,), (1,)]


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
    ("prot tcp", "syntax error"), ("tcp port", "syntax error"), ("port 99999", "illegal port"),
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
    text = error(db, f"SELECT bpf_filter(?, {ONE})", "tcp or " * 100_000 + "udp")
    assert "more than 65536 bytes" in text and len(text) < 2000


def test_a_bad_expression_ends_the_shells_query_with_its_status():
    status, out, err = sqlext.shell(f"SELECT bpf_filter('tcp port', {ONE});\nSELECT 'next';\n")
    assert status != 0 and "syntax error" in err


# --- as SQLite uses functions ---

def test_it_works_in_views_generated_columns_and_indexes(db):
    db.execute("PRAGMA trusted_schema = OFF")
    db.execute(f"""CREATE TABLE c (src, dst, sport, dport, transport,
        smb INTEGER GENERATED ALWAYS AS (bpf_filter('dst port 445', {SIX})) STORED,
        web INTEGER GENERATED ALWAYS AS (bpf_filter('dst port 80', {SIX})) VIRTUAL,
        CHECK (bpf_filter('tcp or udp', {SIX})))""")
    db.execute(f"CREATE INDEX by_net ON c (bpf_filter('src net 10.0.0.0/8', {SIX}))")
    db.execute(f"CREATE INDEX only_udp ON c (src) WHERE bpf_filter('udp', {SIX})")
    db.execute(f"CREATE VIEW seen AS SELECT src, dport FROM c WHERE bpf_filter('tcp', {SIX})")
    rows = [("10.0.0.1", "10.0.0.2", 1, 445, "tcp"), ("10.0.0.1", "10.0.0.2", 1, 80, "tcp"),
            ("9.0.0.1", "10.0.0.2", 1, 445, "udp"), ("9.0.0.1", "10.0.0.2", 1, 80, "udp")]
    db.executemany("INSERT INTO c VALUES (?, ?, ?, ?, ?)", rows)
    assert db.execute("SELECT smb, web FROM c").fetchall() == [(1, 0), (0, 1), (1, 0), (0, 1)]
    assert db.execute("SELECT * FROM seen").fetchall() == [("10.0.0.1", 445), ("10.0.0.1", 80)]
    with pytest.raises(sqlite3.IntegrityError):
        db.execute("INSERT INTO c VALUES ('10.0.0.1', '10.0.0.2', 1, 2, 'sctp')")
    query = f"SELECT count(*) FROM c WHERE bpf_filter('src net 10.0.0.0/8', {SIX}) = 1"
    plan = " ".join(row[3] for row in db.execute("EXPLAIN QUERY PLAN " + query))
    assert "by_net" in plan and value(db, query) == 2
    query = f"SELECT count(*) FROM c WHERE src = '9.0.0.1' AND bpf_filter('udp', {SIX})"
    plan = " ".join(row[3] for row in db.execute("EXPLAIN QUERY PLAN " + query))
    assert "only_udp" in plan and value(db, query) == 2
    assert value(db, "PRAGMA integrity_check") == "ok"


MILLION = """
WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < {rows} - 1)
INSERT INTO plain SELECT printf('%d.0.%d.%d', i % 223 + 1, i / 256 % 256, i % 256),
    '10.9.8.7', i % 65536, CASE i % 3 WHEN 0 THEN 445 ELSE i % 1000 END,
    CASE i % 5 WHEN 0 THEN 'udp' ELSE 'tcp' END FROM n;
"""
BY_HAND = "((rowid - 1) % 223 + 1 < 64 AND dport = 445 AND transport = 'tcp')"


def test_a_million_rows(db):
    db.execute(PLAIN)
    db.execute(MILLION.format(rows=1_000_000))
    rows = value(db, "SELECT count(*) FROM plain")
    assert rows == 1_000_000
    found = value(db, "SELECT count(*) FROM plain WHERE "
                  f"bpf_filter('tcp dst port 445 and src net 0.0.0.0/2', {SIX})")
    assert found == value(db, f"SELECT count(*) FROM plain WHERE {BY_HAND}") > 50_000
    assert value(db, "SELECT count(*) FROM plain WHERE "
                 f"bpf_filter('tcp dst port 445 and src net 0.0.0.0/2', {SIX}) != ({BY_HAND})") == 0


def test_an_expression_for_every_row_takes_no_more_memory(db):
    db.execute(PLAIN)
    db.execute(MILLION.format(rows=30_000))
    query = ("SELECT count(*) FROM plain WHERE bpf_filter("
             f"'src host ' || src || ' and dst port ' || dport, {SIX})")
    rows = value(db, query)
    assert rows == 30_000
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert value(db, query) == rows
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    assert grown < 2048, f"{grown} KiB more for {rows} expressions"


SCRIPT = PLAIN + ";" + MILLION.format(rows=3000) + f"""
SELECT count(*) FROM plain WHERE bpf_filter('tcp dst port 445 and src net 0.0.0.0/2', {SIX});
SELECT count(*) FROM plain WHERE bpf_filter('src host ' || src, {SIX}) AND rowid < 200;
SELECT count(*) FROM plain WHERE bpf_filter('port ' || (rowid % 24 + 1), {SIX}) AND rowid < 200;
SELECT bpf_filter('tcp', 'accept', 'fd00::1', NULL, 1, 2, 'tls'), bpf_filter('tcp', 'x', '', '', 1, 2, 3);
SELECT bpf_match('src port 445', x'{EXAMPLE.hex()}', 12), bpf_match('tcp', NULL), bpf_match('tcp', x''),
    bpf_match('greater 80', x'{EXAMPLE.hex()}', 'RAW', 91);
SELECT length(bpf_explain('tcp port 80', 12));
SELECT bpf_filter(NULL, {ONE});
"""
REFUSED = (f"SELECT bpf_filter('tcp port', {ONE});", f"SELECT bpf_filter('tcp[13] = 2', {ONE});",
           "SELECT bpf_match('tcp', x'00', 'NOSUCH');", "SELECT bpf_match('tcp and', x'00');",
           f"SELECT bpf_filter('port ' || (CASE rowid WHEN 3 THEN 'x' ELSE 5 END), {SIX}) FROM plain;")


def test_valgrind_finds_no_error_and_no_leak():
    valgrind = ("valgrind", "-q", "--error-exitcode=99", "--leak-check=full",
                "--errors-for-leak-kinds=definite,indirect,possible", "--keep-debuginfo=yes")
    # -bail is off: all of these are run, each ends in an error.
    status, out, err = sqlext.shell(SCRIPT + "\n".join(REFUSED) + "\nSELECT 'the end';\n", *valgrind,
                                    timeout=300)
    assert status != 99 and "==" not in err, err
    assert out.splitlines()[-1] == "the end"
    assert err.count("rror") >= len(REFUSED), err


# --- threads ---

def answers(db, expression, rounds):
    return {value(db, f"SELECT count(*) FROM plain WHERE bpf_filter(?, {SIX})", expression)
            for _ in range(rounds)}


@pytest.mark.parametrize("shared", [True, False], ids=["one connection", "two connections"])
def test_two_threads_at_once(shared):
    def make():
        made = sqlext.connect(check_same_thread=False)
        made.execute(PLAIN)
        made.execute(MILLION.format(rows=2000))
        return made
    first = make()
    dbs = (first, first if shared else make())
    jobs = [[(f"src net {i}.0.0.0/8 and (tcp or port {i + offset})", 2) for i in range(1, 120)]
            for offset in (0, 300)]
    want = [[answers(first, *job) for job in jobs[i]] for i in range(2)]
    got, start = [None, None], threading.Barrier(2)

    def work(i):
        start.wait()
        got[i] = [answers(dbs[i], *job) for job in jobs[i]]
    threads = [threading.Thread(target=work, args=(i,)) for i in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
    assert got == want and all(len(found) == 1 for found in got[0])


def test_loading_and_unloading_again_and_again_is_harmless():
    for _ in range(50):
        made = sqlext.connect()
        assert value(made, f"SELECT bpf_filter('tcp', {ONE})") == 1
        made.close()
    # Also at the end of a process that closed nothing.
    done = subprocess.run([sys.executable, "-c", "import sys; sys.path.insert(0, sys.argv[1])\n"
                           "import sqlext\n"
                           f"print(sqlext.connect().execute(\"SELECT bpf_filter('tcp', {ONE})\").fetchall())",
                           sqlext.__file__.rsplit("/", 1)[0]], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "[(1,)]\n", "")
