#!/usr/bin/python3
"""Writes the tables of the manual pages from what the programs say of themselves.

usage: tools/man-tables.py [--check] [BIN]

Replaces what stands between '.\\" BEGIN name' and '.\\" END name' in man/*; with --check it only says
which tables are out of date, and exits 1 when one is. BIN is the directory of gatewayd and gwctl.
"""
import os
import subprocess
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))


def dump(program, what):
    """The rows of a table, without its line of names."""
    text = subprocess.run([program, "--dump", what], check=True, capture_output=True, text=True).stdout
    return [line.split("\t") for line in text.splitlines()]


def roff(text):
    text = text.replace("\\", "\\e").replace("-", "\\-")
    return "\\&" + text if text[:1] in (".", "'") else text


def quoted(text):
    return '"' + roff(text).replace('"', '\\(dq') + '"'


def sentence(text):
    return roff(text[0].upper() + text[1:] + ("" if text.endswith(".") else "."))


def config(rows):
    for key, kind, default, allowed, reload, text in rows[1:]:
        facts = [kind]
        if allowed:
            facts.append(allowed.replace("|", " | "))
        if default:
            facts.append("default " + default)
        if reload == "yes":
            facts.append("reloadable")
        yield f".It Va {roff(key)} Pq {quoted('; '.join(facts))}"
        yield sentence(text)


def errors(rows):
    for code, http, grpc, exit_status, text in rows[1:]:
        yield f".It Er {roff(code)} Pq {quoted(f'HTTP {http}, gRPC {grpc}, exit {exit_status}')}"
        yield sentence(text)


def rights(rows):
    for right, resource, text in rows[1:]:
        yield f".It Li {roff(right)}" + ("" if resource == "-" else f" Pq resource: {roff(resource)}")
        yield sentence(text)


def metrics(rows):
    for name, kind, labels, text in rows[1:]:
        facts = kind + (f"; {labels.replace(',', ', ')}" if labels else "")
        yield f".It Li {roff(name)} Pq {quoted(facts)}"
        yield sentence(text)


def commands(rows):
    inside = False
    for row in rows:
        if row[0]:
            if inside:
                yield ".El"
            inside = False
            yield f".It Ic {quoted(row[0])}"
            yield sentence(row[1])
        else:
            if not inside:
                yield ".Bl -tag -width indent -compact"
            inside = True
            yield f".It Cm {quoted(row[1])}"
            yield sentence(row[2])
    if inside:
        yield ".El"


def options(rows):
    for option, text in rows:
        yield f".It Cm {quoted(option)}"
        yield sentence(text)


TABLES = [
    ("gateway.yaml.5", "config", "gatewayd", config),
    ("gatewayd.8", "errors", "gatewayd", errors),
    ("gatewayd.8", "rights", "gatewayd", rights),
    ("gatewayd.8", "metrics", "gatewayd", metrics),
    ("gwctl.1", "commands", "gwctl", commands),
    ("gwctl.1", "options", "gwctl", options),
]


def main():
    check = "--check" in sys.argv
    rest = [a for a in sys.argv[1:] if a != "--check"]
    bin_dir = rest[0] if rest else os.path.join(ROOT, "bin")
    stale = 0
    for page, table, program, write in TABLES:
        path = os.path.join(ROOT, "man", page)
        with open(path, encoding="utf-8") as f:
            text = f.read()
        begin, end = f'.\\" BEGIN {table}\n', f'.\\" END {table}\n'
        before, _, after = text.partition(begin)
        old, mark, tail = after.partition(end)
        if not mark:
            sys.exit(f"man/{page}: no table {table}")
        new = "\n".join(write(dump(os.path.join(bin_dir, program), table))) + "\n"
        if new == old:
            continue
        stale += 1
        if check:
            print(f"man/{page}: the table {table} is out of date: run `make man`")
        else:
            with open(path, "w", encoding="utf-8") as f:
                f.write(before + begin + new + end + tail)
            print(f"man/{page}: table {table} written")
    sys.exit(1 if check and stale else 0)


main()
