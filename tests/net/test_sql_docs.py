"""What docs/SQL.md shows runs as it stands there."""
import os
import re
import shlex
import subprocess
import sys

import sqlext
from lab import RELEASE, TOP, run

TABLES = sqlext.DIONAEA + """;
CREATE TABLE conn (uid, "id.orig_h", "id.orig_p", "id.resp_h", "id.resp_p", proto);
CREATE TABLE rules (name, expression);
INSERT INTO rules VALUES ('dns', 'port 53'), ('smb', 'dst port 445');
INSERT INTO connections (connection_type, connection_transport, local_host, local_port, remote_host,
    remote_port) VALUES ('accept', 'tcp', '192.0.2.1', 445, '9.8.7.6', 40001);
INSERT INTO conn VALUES ('C1', '10.0.0.1', 40002, '192.0.2.53', 53, 'udp');
"""
FLOWS = "INSERT INTO flows VALUES ('10.0.0.1', '10.0.0.2', 40003, 53, 'udp');\n"


def docs_text():
    with open(os.path.join(TOP, "docs/SQL.md"), encoding="utf-8") as doc:
        return doc.read()


def blocks(language):
    return re.findall(rf"^```{language}\n(.*?)^```$", docs_text(), re.M | re.S)


def test_the_statements():
    dionaea, view, zeek, flows, rules, packet = blocks("sql")
    table, rest = flows.split(";", 1)
    status, out, err = sqlext.shell(TABLES + dionaea + view + "SELECT count(*) FROM smb;" + zeek +
                                    table + ";" + FLOWS + rest + rules + packet)
    assert (status, err) == (0, "")
    assert out.splitlines() == ["9.8.7.6|1", "1", "C1|192.0.2.53", "1", "dns|1", "40"]


def test_the_refusal():
    query, answer = re.search(r"^ +sqlite> (SELECT bpf_filter\('tcp\[.*;)\n +(.*)$", docs_text(),
                              re.M).groups()
    status, out, err = sqlext.shell(query + "\n")
    assert status != 0 and out == "" and answer.split("error: ")[1] in err


def test_the_python(tmp_path):
    script, = blocks("python")
    db = sqlext.connect(str(tmp_path / "dionaea.sqlite"))
    db.executescript(TABLES)
    db.close()
    script = script.replace("/usr/local/lib/capture/bpf_filter", sqlext.EXTENSION[:-len(".so")])
    done = subprocess.run([sys.executable, "-c", script], cwd=tmp_path, check=False,
                          capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (0, "9.8.7.6 40001\n", "")


def test_the_plain_c_call(tmp_path):
    source, = blocks("c")
    command, = re.findall(r"^ +(cc .*?[^\\])$", docs_text(), re.M | re.S)
    (tmp_path / "example.c").write_text(source)
    command = command.replace("\\\n", " ").replace("example", f"{tmp_path}/example")
    run(*shlex.split(command.replace("build/release", RELEASE)), cwd=TOP)
    assert run(str(tmp_path / "example")) == "1\n"
