#!/usr/bin/python3
"""Plays tests/iso/interleavings.txt: what sessions see of each other, who waits, who is refused.

    test_isolation.py [DSN]      against a server that runs already, such as PostgreSQL

SPDX-License-Identifier: Apache-2.0
"""
import os
import sys
import threading
import time

import psycopg2

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from harness import TOP, Place, expect  # noqa: E402

FILE = os.path.join(TOP, 'tests', 'iso', 'interleavings.txt')
DROP = 'drop table if exists child, item, other cascade'


def connect(dsn):
    connection = psycopg2.connect(dsn, connect_timeout=5)
    connection.autocommit = True
    return connection


def shown(rows):
    lines = sorted(' '.join('null' if v is None else str(v) for v in row) for row in rows)
    return '; '.join(lines) or 'no rows'


class Session:
    def __init__(self, dsn, watch):
        self.connection = connect(dsn)
        self.cursor = self.connection.cursor()
        self.pid = self.connection.get_backend_pid()
        self.watch = watch
        self.thread = self.result = None

    def run(self, text):
        try:
            self.cursor.execute(text)
            self.result = (self.cursor.statusmessage if self.cursor.description is None
                           else shown(self.cursor.fetchall()))
        except psycopg2.Error as error:
            self.result = error.pgcode or str(error)

    def waits(self):
        self.watch.execute('select wait_event_type from pg_stat_activity where pid = %s', (self.pid,))
        row = self.watch.fetchone()
        return row is not None and row[0] == 'Lock'

    def settle(self, may_wait):
        """Until the statement has ended, or waits for somebody."""
        end = time.monotonic() + 60
        while self.thread.is_alive():
            expect(time.monotonic() < end, 'a statement neither ends nor waits for a lock')
            self.thread.join(0.005)
            if may_wait and self.thread.is_alive() and self.waits():
                return 'waits'
        return self.result

    def begin(self, text):
        self.thread = threading.Thread(target=self.run, args=(text,), daemon=True)
        self.thread.start()
        return self.settle(True)


def play(dsn, setup, steps):
    """The steps of a case whose outcome is another, as (line, outcome)."""
    watch = connect(dsn).cursor()
    watch.execute(DROP)
    watch.execute(setup)
    sessions, wrong = {}, []
    for line in steps:
        step, wanted = line.rsplit(' => ', 1)
        name, text = step.split(': ', 1)
        if name not in sessions:
            sessions[name] = Session(dsn, watch)
        session = sessions[name]
        got = session.settle(False) if text == '?' else session.begin(text)
        if got != wanted:
            wrong.append((line, got))
    for session in sessions.values():
        session.connection.close()
    watch.execute(DROP)
    watch.connection.close()
    return wrong


def read_file():
    """The statements of "setup", and the cases by name."""
    setup, cases, into = [], {}, None
    with open(FILE, encoding='utf-8') as file:
        for line in file:
            text = line.strip()
            if text == 'setup':
                into = setup
            elif line.startswith('case '):
                into = cases.setdefault(text[5:], [])
            elif text and not text.startswith('#'):
                into.append(text)
    return '\n'.join(setup), cases


def play_all(dsn):
    setup, cases = read_file()
    expect(len(cases) > 40, 'the cases are not there')
    failed = 0
    for name, steps in cases.items():
        wrong = play(dsn, setup, steps)
        for line, got in wrong:
            print(f'{name}: {line}\n    came to {got}')
        failed += bool(wrong)
    print(f'{len(cases) - failed} passed, {failed} failed')
    return failed


def main():
    if len(sys.argv) > 1:
        return 1 if play_all(sys.argv[1]) else 0
    with Place() as place:
        node = place.node('A')
        node.init()
        node.start()
        failed = play_all(node.dsn())
        node.stop()
    return 1 if failed else 0


if __name__ == '__main__':
    sys.exit(main())
