"""The SQLite extension under test: loaded by Python's driver and by the sqlite3 shell."""
import os
import sqlite3
import subprocess

from lab import RELEASE

EXTENSION = os.path.join(RELEASE, "client/sqlite/bpf_filter.so")

# As dionaea's logsql module makes it.
DIONAEA = """CREATE TABLE connections (
    connection INTEGER PRIMARY KEY, connection_type TEXT, connection_transport TEXT,
    connection_protocol TEXT, connection_timestamp INTEGER, connection_root INTEGER,
    connection_parent INTEGER, local_host TEXT, local_port INTEGER, remote_host TEXT,
    remote_hostname TEXT, remote_port INTEGER)"""
SEVEN = "connection_type, local_host, remote_host, local_port, remote_port, connection_transport"

PLAIN = "CREATE TABLE plain (src, dst, sport, dport, transport)"
SIX = "src, dst, sport, dport, transport"
ONE = "'10.0.0.1', '10.0.0.2', 1024, 445, 'tcp'"
# The example of 2010: raw IP, 40 of 91 bytes of a TCP segment, 127.0.0.1:445 to itself.
EXAMPLE = bytes.fromhex("4500005b7e1f40004006be7b7f0000017f000001"
                        "01bdb07ee52351d3e567cecf80180182fe4f0000")


def connect(path=":memory:", **options):
    """A connection of Python's driver with the functions in it."""
    made = sqlite3.connect(path, **options)
    made.enable_load_extension(True)
    made.load_extension(EXTENSION[:-len(".so")])
    made.enable_load_extension(False)
    return made


def shell(script, *before, timeout=120):
    """Run a script in the stock shell: (exit status, output, errors)."""
    done = subprocess.run([*before, "sqlite3", "-batch", ":memory:"], check=False, text=True,
                          input=f".load {EXTENSION}\n{script}", capture_output=True,
                          timeout=timeout)
    return done.returncode, done.stdout, done.stderr


def value(db, sql, *args):
    """The one value of a query."""
    (found,), = db.execute(sql, args).fetchall()
    return found


def error(db, sql, *args):
    """The text with which a query is refused, at its start or at a row."""
    try:
        rows = db.execute(sql, args).fetchall()
    except sqlite3.OperationalError as refused:
        return str(refused)
    raise AssertionError(f"{sql} {args}: not refused, but {rows[:3]}")
