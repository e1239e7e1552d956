#!/usr/bin/python3
"""What became of a commit whose client never heard of it: asked for by the transaction's number,
after a kill, on a standby, after a failover, and compared with what the table has.

SPDX-License-Identifier: Apache-2.0
"""
import os
import sys
import threading

import psycopg2

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from harness import Failure, Place, expect, follows, wait_until  # noqa: E402

CLIENTS, ROUNDS = 6, 4


class Clients:
    """Each transaction asks for its number, inserts a row, and commits or, one in four, rolls back.
    What the client has heard: the number, and whether the end was told."""

    def __init__(self, node, first):
        self.node, self.ending, self.lock = node, False, threading.Lock()
        self.next, self.heard = first, {}  # row -> (number, what the client was told)
        self.threads = [threading.Thread(target=self.run) for _ in range(CLIENTS)]
        for t in self.threads:
            t.start()

    def run(self):
        try:
            connection = psycopg2.connect(self.node.dsn())
            cursor = connection.cursor()
            while not self.ending:
                with self.lock:
                    self.next += 1
                    row = self.next
                cursor.execute('select txid_current()')
                number = cursor.fetchone()[0]
                self.heard[row] = (number, 'nothing')
                cursor.execute('insert into ledger values (%s)', (row,))
                if row % 4 == 0:
                    connection.rollback()
                    self.heard[row] = (number, 'aborted')
                else:
                    connection.commit()
                    self.heard[row] = (number, 'committed')
        except psycopg2.Error:
            pass  # the node is gone

    def told(self):
        return sum(1 for _, told in self.heard.copy().values() if told == 'committed')

    def join(self):
        self.ending = True
        for t in self.threads:
            t.join()


def outcomes(node, numbers):
    connection = node.connect()
    cursor = connection.cursor()
    found = []
    for number in numbers:
        cursor.execute('select txid_status(%s)', (number,))
        found.append(cursor.fetchone()[0])
    connection.close()
    return found


def compare(node, heard, where):
    """TXNE-11: each number's outcome is what the table shows, and what the client was told."""
    there = {r[0] for r in node.query('select n from ledger')}
    rows = sorted(heard)
    unknown = 0
    for row, outcome in zip(rows, outcomes(node, [heard[row][0] for row in rows])):
        told = heard[row][1]
        expect(outcome == ('committed' if row in there else 'aborted'),
               f'{where}: row {row} is {"there" if row in there else "not there"}, but {outcome}')
        expect(told in ('nothing', outcome), f'{where}: row {row} was {told}, and is now {outcome}')
        unknown += told == 'nothing'
    expect(unknown > 0, f'{where}: every client heard of its commit')
    return unknown


def code_of(work):
    try:
        work()
    except psycopg2.Error as error:
        return error.pgcode
    raise Failure('no error')


def the_words(a):
    """As PostgreSQL has them."""
    c = a.connect()
    c.autocommit = False
    cursor = c.cursor()
    cursor.execute('select txid_current_if_assigned(), pg_current_xact_id_if_assigned()')
    expect(cursor.fetchone() == (None, None), 'no number before it is asked for')
    cursor.execute('savepoint s')
    cursor.execute('select txid_current(), pg_current_xact_id()::text, txid_current_if_assigned()')
    number, text, again = cursor.fetchone()
    expect(number > 0 and str(number) == text and again == number, f'{number} {text} {again}')
    cursor.execute('rollback to s')
    cursor.execute('select txid_current()')
    expect(cursor.fetchone()[0] == number, 'the number stays')
    expect(a.value('select txid_status(%s)', number) == 'in progress', 'it runs')
    c.commit()
    expect(a.value('select pg_xact_status(%s)', str(number)) == 'committed', 'nothing written')
    cursor.execute('set transaction read only')
    cursor.execute('select txid_current()')
    number = cursor.fetchone()[0]
    c.rollback()
    expect(a.value('select txid_status(%s)', number) == 'aborted', 'rolled back')
    c.close()
    alone = a.value('select txid_current()')
    expect(a.value('select txid_status(%s)', alone) == 'committed', 'a statement alone')
    expect(code_of(lambda: a.query('select txid_status(%s)', alone + 1000000)) == '22023', 'future')
    expect(a.value('select txid_status(0)') is None, 'not a number')
    expect(a.value('select txid_status(null)') is None, 'strict')


def killed(a):
    """A5: kill -9 in the middle of commits, again and again."""
    heard, unknown = {}, 0
    for turn in range(ROUNDS):
        clients = Clients(a, 100000 * (turn + 1))
        wait_until(lambda: clients.told() > 30 * turn, 'commits')
        a.kill()
        clients.join()
        heard.update(clients.heard)
        a.start()
        unknown = compare(a, heard, f'after kill {turn}')
    return unknown, len(heard), heard


def over_a_failover(a, b, heard):
    clients = Clients(a, 1000000)
    wait_until(lambda: clients.told() > 100, 'commits')
    a.kill()
    clients.join()
    heard.update(clients.heard)
    b.command('failover', 'B', '--fenced')
    b.wait_writable()
    unknown = compare(b, heard, 'after the failover')
    a.start(wait=False)
    a.wait_answers()
    a.command('reinstate', 'A')
    wait_until(lambda: follows(a, 2), 'A follows')
    a.wait_scn(b.scn())
    compare(a, heard, 'on the old primary')
    return unknown


def on_a_standby(a, b):
    """What runs on the primary is in progress there; numbers are the primary's to give."""
    c = a.connect()
    c.autocommit = False
    cursor = c.cursor()
    cursor.execute('select txid_current()')
    number = cursor.fetchone()[0]
    expect(outcomes(b, [number]) == ['in progress'], 'not ended')
    cursor.execute('insert into ledger values (-1)')
    c.commit()
    b.wait_scn(a.scn())
    expect(outcomes(b, [number]) == ['committed'], 'committed')
    cursor.execute('select txid_current()')
    number = cursor.fetchone()[0]
    c.rollback()
    a.query('insert into ledger values (-2)')
    wait_until(lambda: outcomes(b, [number]) == ['aborted'], 'the standby hears that it ended')
    c.close()
    expect(code_of(lambda: b.query('select txid_current()')) == '25006', 'no numbers there')


def main():
    with Place(keep='KEEP' in os.environ) as place:
        a, b = place.node('A'), place.node('B')
        a.init()
        a.start()
        a.query('create table ledger (n int primary key)')
        the_words(a)
        print('the words: ok', flush=True)
        unknown, count, heard = killed(a)
        print(f'{unknown} of {count} commits that nobody was told of, after kills: ok', flush=True)
        b.join(a)
        b.start(wait=False)
        b.wait_answers()
        a.command('protect', 'availability', '--sync', 'ANY 1 (B)')
        b.wait_scn(a.scn())
        compare(b, heard, 'on a copy')
        on_a_standby(a, b)
        print('on a standby: ok', flush=True)
        unknown = over_a_failover(a, b, heard)
        print(f'{unknown} after a failover: ok', flush=True)
        a.stop()
        b.stop()
    print('4 passed, 0 failed')


if __name__ == '__main__':
    main()
