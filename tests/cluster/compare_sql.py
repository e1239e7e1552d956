#!/usr/bin/python3
"""Random statements, answered by Redoubt and by PostgreSQL: the same rows, or both an error.

    compare_sql.py [SECONDS [SEED]]      SEED alone is run again: compare_sql.py 0 SEED

Each round is a seed: tables, rows and indexes of its own, queries, then writes after each of which the
tables are compared. What differs is printed with its seed.

SPDX-License-Identifier: Apache-2.0
"""
import decimal
import random
import signal
import sys
import time

import psycopg2

from harness import Place
from postgres import Postgres
from random_sql import TABLES, Generator

QUERIES, WRITES = 300, 60
# Errors in values depend on the order of evaluation, which is nobody's promise.
OPEN_ERRORS = ('22', '54', '23')


def answer(cursor, text, ordered):
    try:
        cursor.execute(text)
        if cursor.description is None:
            return cursor.statusmessage
        names = [(d.name, d.type_code) for d in cursor.description]
        rows = [tuple(rounded(v) for v in row) for row in cursor.fetchall()]
        return names, (rows if ordered else sorted(rows, key=repr))
    except psycopg2.Error as error:
        return 'error ' + str(error.pgcode)


def rounded(value):
    """Sums of floats depend on the order of their terms."""
    return float(f'{value:.10g}') + 0.0 if isinstance(value, float) else value  # -0 is 0


def without_scale(answered):
    """Of numerics that are equal and one to DISTINCT and GROUP BY, either may be shown: 2 or 2.00."""
    if isinstance(answered, str):
        return answered
    return answered[0], sorted((tuple(v.normalize() if isinstance(v, decimal.Decimal) else v for v in row)
                                for row in answered[1]), key=repr)


def is_open(answer_one, answer_two):
    """One had an error in a value that the other need not have come to."""
    return any(isinstance(a, str) and a.startswith('error ') and a[6:8] in OPEN_ERRORS
               for a in (answer_one, answer_two))


class Comparison:
    def __init__(self, node, postgres):
        self.sides = [c.connect() for c in (node, postgres)]
        self.cursors = [c.cursor() for c in self.sides]
        self.same = self.open = self.errors = 0
        self.differing = []
        for cursor in self.cursors:
            cursor.execute("set statement_timeout = '10s'; set timezone = 'UTC'")

    def both(self, seed, text, ordered=False):
        ours, theirs = [answer(c, text, ordered) for c in self.cursors]
        if 'error 57014' in (ours, theirs):  # no promise about time; but worth a look
            if theirs != ours and ours == 'error 57014':
                print(f'seed {seed}, slow: {text}', flush=True)
            self.open += 1
            return 'open'
        if ours == theirs:
            self.same += 1
            self.errors += isinstance(ours, str) and ours.startswith('error')
            return 'same'
        if is_open(ours, theirs) or without_scale(ours) == without_scale(theirs):
            self.open += 1
            return 'open'
        self.report(seed, text, ours, theirs)
        return 'different'

    def report(self, seed, text, ours, theirs):
        self.differing.append(seed)
        print(f'seed {seed}: {text}\n  Redoubt:    {str(ours)[:600]}\n  PostgreSQL: {str(theirs)[:600]}',
              flush=True)

    def round(self, seed):
        generator = Generator(random.Random(seed))
        for cursor in self.cursors:
            for table in TABLES:
                cursor.execute(f'drop table if exists {table}')
        for text in generator.setup():
            for cursor in self.cursors:
                cursor.execute(text)
        for _ in range(QUERIES):
            self.both(seed, *generator.query())
        for _ in range(WRITES):
            self.write(seed, generator.write())

    def write(self, seed, text):
        for cursor in self.cursors:
            cursor.execute('begin')
        outcome = self.both(seed, text)
        keep = 'commit' if outcome == 'same' else 'rollback'
        for cursor in self.cursors:
            cursor.execute(keep)
        for table in TABLES:
            if self.both(seed, f'select * from {table}') != 'same':
                print(f'  after: {text}')
                raise AssertionError(f'seed {seed}: the tables differ')


def main():
    seconds = float(sys.argv[1]) if len(sys.argv) > 1 else 60
    seed = int(sys.argv[2]) if len(sys.argv) > 2 else int(time.time())
    end = time.monotonic() + seconds
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # what it started ends with it
    with Place() as place, Postgres() as postgres:
        node = place.node('A')
        node.init()
        node.start()
        comparison = Comparison(node, postgres)
        rounds = 0
        while True:
            comparison.round(seed)
            rounds += 1
            if time.monotonic() >= end:
                break
            seed += 1
        node.stop()
    print(f'{rounds} seeds up to {seed}: {comparison.same} answers alike ({comparison.errors} of them'
          f' errors), {comparison.open} left open, {len(comparison.differing)} different')
    failed = len(comparison.differing) > 0
    print(f'{0 if failed else 1} passed, {1 if failed else 0} failed')
    return 1 if failed else 0


if __name__ == '__main__':
    sys.exit(main())
