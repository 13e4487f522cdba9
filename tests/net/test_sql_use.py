"""bpf_filter.so as SQLite uses functions: in indexes and views, over many rows, by two threads."""
import resource
import sqlite3
import subprocess
import sys
import threading

import pytest

import sqlext
from sqlext import EXAMPLE, ONE, PLAIN, SIX, value


@pytest.fixture
def db():
    made = sqlext.connect()
    yield made
    made.close()


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


def test_an_expression_is_compiled_once_however_many_rows_it_is_for():
    """Compiled at each row, these take minutes; the cache has no room for as many."""
    terms = " AND ".join(
        "bpf_filter('{}', {})".format(" or ".join(f"not host 10.{i}.{j}.1" for j in range(60)), SIX)
        for i in range(24))
    status, out, err = sqlext.shell(f"{PLAIN}; {MILLION.format(rows=20_000)}"
                                    f"SELECT count(*) FROM plain WHERE {terms};\n", timeout=30)
    assert (status, out, err) == (0, "20000\n", "")


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
