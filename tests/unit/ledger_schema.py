"""docs/ledger.schema.json takes every line that capclient makes, and nothing else.

Usage: ledger_schema.py SCHEMA PROGRAM; "PROGRAM --print" prints sample lines.
"""

import copy
import json
import subprocess
import sys

import jsonschema

INSIDE = ("dropped_agent", "lost_client")


def places_of(value, path=()):
    """The paths of all members, those of the first element of each list."""
    if isinstance(value, dict):
        for key in value:
            yield path + (key,)
            yield from places_of(value[key], path + (key,))
    elif isinstance(value, list) and value:
        yield from places_of(value[0], path + (0,))


def damaged(line):
    """Lines that differ from a good one in one place: what was done, the line."""
    for path in places_of(line):
        for name, new in (("without", None), ("wrong", [[]]), ("negative", -1), ("fraction", 0.5)):
            copied = copy.deepcopy(line)
            parent = copied
            for step in path[:-1]:
                parent = parent[step]
            if name == "without":
                del parent[path[-1]]
            elif isinstance(parent[path[-1]], list) and name == "wrong":
                parent[path[-1]] = "text"
            else:
                parent[path[-1]] = new
            yield f"{name} {path}", copied
    for path in ((), ("total",), ("interfaces", 0), ("holes", 0), ("total", "lost_client")):
        copied = copy.deepcopy(line)
        parent = copied
        for step in path:
            parent = parent[step]
        parent["more"] = 1
        yield f"more in {path}", copied
    yield "another event", {**line, "event": "begun"}
    yield "status while it runs", {**line, "event": "stats"}
    yield "time without zone", {**line, "time": line["time"][:-1]}


def accounted(counts):
    """All that seen consists of."""
    return sum(counts[key] for key in ("dropped_kernel", "lost_connection", "after_end",
                                       "filtered_by_client", "written")) + \
        sum(sum(counts[key].values()) for key in INSIDE)


def main(schema_path, program):
    with open(schema_path, encoding="utf-8") as file:
        schema = json.load(file)
    jsonschema.Draft202012Validator.check_schema(schema)
    validator = jsonschema.Draft202012Validator(schema)
    text = subprocess.run([program, "--print"], check=True, stdout=subprocess.PIPE).stdout.decode()
    lines = [json.loads(line) for line in text.splitlines()]
    assert len(lines) == 6, len(lines)
    for line in lines:
        validator.validate(line)
        if line["balanced"]:
            assert accounted(line["total"]) == line["total"]["seen"], line
    full = lines[3]
    assert full["balanced"] and full["total"]["seen"] > 0 and len(full["holes"]) == 1000
    full["holes"] = full["holes"][:1]
    bad = list(damaged(full))
    accepted = [what for what, line in bad if validator.is_valid(line)]
    assert not accepted, accepted
    print(f"{len(lines)} lines are valid, {len(bad)} damaged ones are not")


main(*sys.argv[1:])
