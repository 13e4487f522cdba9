"""bpf_filter over random connections is libpcap's verdict on scapy's packet of the same tuple.

A run prints its seed; CAPTEST_SEED repeats it.
"""
import os
import random

import pytest

import sqlext
import tuples

CONNECTIONS, EXPRESSIONS = 500, 200
# Of all pairs, so many at least match, and so many do not.
SHARE = 0.25


@pytest.fixture(scope="module")
def made():
    """Connections, their packets by scapy, expressions compiled by libpcap."""
    seed = int(os.environ.get("CAPTEST_SEED") or random.randrange(1 << 32))
    print(f"CAPTEST_SEED={seed}")
    rng = random.Random(seed)
    connections = [tuples.connection(rng) for _ in range(CONNECTIONS)]
    plain = [tuples.packet(one) for one in connections]
    noisy = [tuples.packet(one, rng) for one in connections]
    sample = rng.sample(plain, 100)
    expressions = [tuples.expression(rng, tuples.CONSTRUCTS[i % len(tuples.CONSTRUCTS)], sample)
                   for i in range(EXPRESSIONS)]
    return connections, plain, noisy, expressions


def wanted(made):
    """By expression, the numbers of the connections that match."""
    _, plain, noisy, expressions = made
    found = []
    for expression in expressions:
        match = [expression.filter.matches(data) for data in plain]
        # A check of the test itself: what the tuple does not tell plays no part.
        assert match == [expression.filter.matches(data) for data in noisy], expression.text
        found.append({i for i, yes in enumerate(match) if yes})
    total = sum(map(len, found))
    pairs = CONNECTIONS * EXPRESSIONS
    print(f"{total} of {pairs} pairs match")
    assert SHARE * pairs <= total <= (1 - SHARE) * pairs
    return found


def selected(db, table, arguments, expressions):
    """The same from the extension, which answers 0 or 1 for every row."""
    found = []
    for expression in expressions:
        rows = db.execute(f"SELECT rowid - 1, bpf_filter(?, {arguments}) FROM {table}",
                          (expression.text,)).fetchall()
        assert {answer for _, answer in rows} <= {0, 1}, expression.text
        found.append({number for number, answer in rows if answer})
    return found


def differences(made, got, want):
    return [(expression.text, made[0][number], number in one)
            for expression, one, other in zip(made[3], got, want) for number in one ^ other]


def test_six_arguments_are_answered_as_libpcap_answers_for_scapys_packet(made):
    db = sqlext.connect()
    db.execute(sqlext.PLAIN)
    db.executemany("INSERT INTO plain VALUES (?, ?, ?, ?, ?)", made[0])
    assert not differences(made, selected(db, "plain", sqlext.SIX, made[3]), wanted(made))


@pytest.mark.parametrize("kind", ["accept", "reject", "connect"])
def test_seven_arguments_know_which_side_is_the_source(made, kind):
    db = sqlext.connect()
    db.execute(sqlext.DIONAEA)
    for one in made[0]:
        local, remote = ((one.src, one.sport), (one.dst, one.dport))[::1 if kind == "connect" else -1]
        db.execute("INSERT INTO connections (connection_type, connection_transport, local_host, "
                   "local_port, remote_host, remote_port) VALUES (?, ?, ?, ?, ?, ?)",
                   (kind, one.transport, *local, *remote))
    # Seven arguments have no type and code of ICMP: expressions that ask are told elsewhere.
    without = [(expression, want) for expression, want in zip(made[3], wanted(made))
               if "ICMP type and code" not in expression.made_of]
    got = selected(db, "connections", sqlext.SEVEN, [expression for expression, _ in without])
    narrowed = (*made[:3], [expression for expression, _ in without])
    assert not differences(narrowed, got, [want for _, want in without])


@pytest.mark.parametrize("order", ["e.rowid, c.rowid", "c.rowid, e.rowid"])
def test_expressions_that_vary_by_row_give_the_same(made, order):
    """The second order asks for another expression at every row."""
    db = sqlext.connect()
    db.execute(sqlext.PLAIN)
    db.executemany("INSERT INTO plain VALUES (?, ?, ?, ?, ?)", made[0][:60])
    db.execute("CREATE TABLE expressions (text)")
    chosen = made[3][:40]
    db.executemany("INSERT INTO expressions VALUES (?)", [(one.text,) for one in chosen])
    first, second = ("expressions e", "plain c") if order[0] == "e" else ("plain c", "expressions e")
    rows = db.execute(f"SELECT e.rowid - 1, c.rowid - 1, bpf_filter(e.text, {sqlext.SIX}) "
                      f"FROM {first} CROSS JOIN {second}").fetchall()
    assert len(rows) == 60 * 40
    for expression, connection, answer in rows:
        assert answer == chosen[expression].filter.matches(made[1][connection]), \
            (chosen[expression].text, made[0][connection])
