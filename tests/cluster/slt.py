#!/usr/bin/python3
"""Runs files of sqllogictest against anything that speaks PostgreSQL's protocol.

    slt.py 'host=127.0.0.1 port=5433 user=redoubt dbname=redoubt' FILE...

Whole files, as they are: skipif and onlyif (for postgresql), hash-threshold, the sort modes, labels,
results as values or as their hash. Each file starts in a schema without tables.

SPDX-License-Identifier: Apache-2.0
"""
import hashlib
import sys

import psycopg2

ENGINE = 'postgresql'


class Record:
    """A statement or a query with what it is expected to give."""

    def __init__(self, line, words):
        self.line, self.kind = line, words[0]
        self.wants_error = words[0] == 'statement' and words[1:2] == ['error']
        self.types = words[1] if words[0] == 'query' and len(words) > 1 else ''
        self.sort = words[2] if len(words) > 2 else 'nosort'
        self.label = words[3] if len(words) > 3 else None
        self.text, self.expected = '', []


def records(path):
    """The records of a file that are meant for this engine."""
    with open(path, encoding='utf-8') as file:
        lines = [line.rstrip('\n') for line in file]
    at = 0
    applies = True
    while at < len(lines):
        words = lines[at].split('#')[0].split()
        at += 1
        if not words:
            continue
        if words[0] in ('skipif', 'onlyif'):
            applies = applies and (words[1] == ENGINE) == (words[0] == 'onlyif')
        elif words[0] == 'halt':
            if applies:
                return
            applies = True
        elif words[0] in ('statement', 'query'):
            record = Record(at, words)
            body = []
            while at < len(lines) and lines[at] != '':
                body.append(lines[at])
                at += 1
            if record.kind == 'query' and '----' in body:
                cut = body.index('----')
                record.expected, body = body[cut + 1:], body[:cut]
            record.text = '\n'.join(body)
            if applies:
                yield record
            applies = True
        elif words[0] != 'hash-threshold':  # results are recognised by their form
            raise ValueError(f'{path}:{at}: {words[0]}?')


def shown(value, kind):
    """A value as the files write it."""
    if value is None:
        return 'NULL'
    if kind == 'I':
        return str(int(value))
    if kind == 'R':
        return f'{float(value):.3f}'
    text = str(value)
    return ''.join(c if ' ' <= c <= '~' else '@' for c in text) if text else '(empty)'


def flat(rows, record):
    rows = [[shown(v, k) for v, k in zip(row, record.types)] for row in rows]
    if record.sort == 'rowsort':
        rows.sort()
    values = [v for row in rows for v in row]
    return sorted(values) if record.sort == 'valuesort' else values


def matches(values, expected):
    if len(expected) == 1 and ' values hashing to ' in expected[0]:
        digest = hashlib.md5(''.join(v + '\n' for v in values).encode()).hexdigest()
        return expected[0] == f'{len(values)} values hashing to {digest}'
    return values == expected


class Run:
    """The outcome of a file: how many records held, and which did not."""

    def __init__(self):
        self.held, self.failures, self.labels = 0, [], {}

    def check(self, cursor, record):
        """None, or what is wrong."""
        try:
            cursor.execute(record.text)
        except psycopg2.Error as error:
            return None if record.wants_error else f'{error.pgcode} {error}'
        if record.wants_error:
            return 'no error'
        if record.kind == 'statement':
            return None
        rows = cursor.fetchall()
        if rows and len(rows[0]) != len(record.types):
            return f'{len(rows[0])} columns, not {len(record.types)}'
        values = flat(rows, record)
        if not matches(values, record.expected):
            return f'got {values[:8]} of {len(values)}, not {record.expected[:8]}'
        if record.label and self.labels.setdefault(record.label, values) != values:
            return f'differs from the others that are labelled {record.label}'
        return None

    def add(self, cursor, record):
        wrong = self.check(cursor, record)
        if wrong is None:
            self.held += 1
        else:
            self.failures.append((record, wrong))


def empty_schema(cursor):
    for kind, name in (('v', 'view'), ('r', 'table')):
        cursor.execute('select relname from pg_class where relkind = %s and relnamespace ='
                       " (select oid from pg_namespace where nspname = 'public')", (kind,))
        for (relation,) in cursor.fetchall():
            cursor.execute(f'drop {name} "{relation}" cascade')


def run(dsn, path):
    connection = psycopg2.connect(dsn)
    connection.autocommit = True
    cursor = connection.cursor()
    empty_schema(cursor)
    outcome = Run()
    for record in records(path):
        outcome.add(cursor, record)
    connection.close()
    return outcome


def main():
    bad = 0
    for path in sys.argv[2:]:
        outcome = run(sys.argv[1], path)
        for record, wrong in outcome.failures[:20]:
            print(f'{path}:{record.line}: {wrong}\n    {record.text}')
        print(f'{path}: {outcome.held} held, {len(outcome.failures)} did not')
        bad += len(outcome.failures)
    return 1 if bad else 0


if __name__ == '__main__':
    sys.exit(main())
