#!/usr/bin/python3
"""A primary and two standbys, as processes, with real clients: copies, synchronous commits, reads on
standbys, switchover and failover under load, the old primary's return.

SPDX-License-Identifier: Apache-2.0
"""
import os
import signal
import sys
import threading

import psycopg2

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from harness import (Failure, Ledger, Place, bank_consistent, expect, follows, multi_host,  # noqa: E402
                     wait_until)


class Trio:
    """A, with B on the list of synchronous standbys and C beside it."""

    def __init__(self, place):
        self.a, self.b, self.c = (place.node(n) for n in 'ABC')
        self.all = [self.a, self.b, self.c]
        self.a.init()
        self.a.start()
        self.a.pgbench('-i', '-s', '1', '-q')
        self.a.query('create table ledger (n int primary key)')
        for n in (self.b, self.c):
            n.join(self.a)
            n.start(wait='answers')
        self.a.command('protect', 'availability', '--sync', 'ANY 1 (B)')
        self.synchronized(self.a)

    def synchronized(self, node):
        wait_until(lambda: node.status()['synchronized'], f'{node.name} says synchronized')

    def agree(self, primary):
        """All three show the same."""
        scn = primary.scn()
        for n in self.all:
            n.wait_scn(scn)
        rows = [sorted(n.query('select n from ledger')) for n in self.all]
        expect(rows[0] == rows[1] == rows[2], 'the members show the same ledger')
        sums = {bank_consistent(n) for n in self.all}
        expect(len(sums) == 1, f'the members show the same bank: {sums}')


    def new_table(self, primary, name):
        """A table that this primary makes is new: it holds what is put there, on all members."""
        primary.query(f'create table {name} (n int primary key, t text)')
        expect(primary.value(f'select count(*) from {name}') == 0, f'{name} is empty at first')
        primary.query(f"insert into {name} select g, '{name}' from generate_series(1, 100) g")
        self.agree(primary)
        for n in self.all:
            expect(n.query(f'select count(*), min(t), max(t) from {name}') == [(100, name, name)],
                   f'{n.name} shows what was put into {name}')


class Load:
    """pgbench and a ledger at once, at whoever is the primary."""

    def __init__(self, nodes, at, seconds=4):
        self.ledger = Ledger(multi_host(nodes))
        self.bench = threading.Thread(target=at.pgbench, kwargs={'check': False},
                                      args=('-c', '4', '-T', str(seconds), '-n', '-M', 'prepared'))

    def __enter__(self):
        self.ledger.start()
        self.bench.start()
        self.more(50)
        return self

    def more(self, count):
        """Waits until so many more commits have been acknowledged."""
        before = len(self.ledger.told)
        wait_until(lambda: len(self.ledger.told) >= before + count, 'commits are acknowledged')

    def __exit__(self, kind, error, trace):
        self.ledger.stop()
        self.bench.join()


def standbys_show_and_refuse(t):
    t.a.query("create table seen (a int primary key, b text)")
    t.a.query("insert into seen select g, 'x' from generate_series(1, 100) g")
    scn = t.a.scn()
    for n in (t.b, t.c):
        n.wait_scn(scn)
        expect(n.value('select count(*) from seen') == 100, 'the standby shows the rows')
        try:
            n.query("insert into seen values (0, '')")
            raise Failure('a standby took a write')
        except psycopg2.Error as e:
            expect(e.pgcode == '25006', f'a write on a standby gets 25006, not {e.pgcode}')
        expect(n.value('select role from v$database') == 'PHYSICAL STANDBY', 'its role')
        expect(n.pgbench('-S', '-t', '50', '-n', '-c', '2').returncode == 0, 'pgbench -S on it')
    lags = t.a.query("select member, name, lag_bytes from v$dataguard_stats")
    expect({l[0] for l in lags} == {'B', 'C'}, f'lag of both: {lags}')


def standby_restarts(t):
    with Load([t.a], t.a, 1) as load:
        load.more(20)
        shown = t.c.scn()
        t.c.kill()
        load.more(50)
    t.c.start(wait='answers')
    expect(t.c.scn() >= shown, 'G3: it shows no less than before')
    load.ledger.compare(t.a.query('select n from ledger'))
    t.agree(t.a)


def list_lost_and_back(t):
    """Maximum availability: alone after net_timeout, synchronized again by itself."""
    t.b.kill()
    with Load([t.a], t.a, 1) as load:
        wait_until(lambda: not t.a.status()['synchronized'], 'A goes on alone')
        load.more(20)
    t.b.start(wait='answers')
    t.synchronized(t.a)
    t.agree(t.a)


def switchover_there_and_back(t):
    for old, new in ((t.a, t.b), (t.b, t.a)):
        with Load(t.all, old) as load:
            new.command('switchover', new.name)
            load.more(50)
        wait_until(lambda: follows(old), f'{old.name} follows')
        load.ledger.compare(new.query('select n from ledger'))
        t.synchronized(new)
        t.agree(new)
        t.new_table(new, f'made_by_{new.name}')
        t.a.query('truncate ledger') if new is t.a else t.b.query('truncate ledger')


def failover_and_return(t):
    with Load(t.all, t.a) as load:
        t.a.kill()
        refused = t.b.command('failover', 'B', check=False)
        expect(refused.returncode != 0, 'without --fenced one leg does not decide')
        t.b.command('failover', 'B', '--fenced')
        load.more(50)
    load.ledger.compare(t.b.query('select n from ledger'))
    bank_consistent(t.b)
    t.a.start(wait='answers')
    wait_until(lambda: follows(t.a), 'A follows')
    expect(t.a.value('select open_mode from v$database') != 'READ WRITE', 'A does not open')
    t.synchronized(t.b)
    t.agree(t.b)


def stopped_primary_comes_to(t):
    """A primary that hung while another took over acknowledges nothing more when it wakes up."""
    held = t.b.connect()
    held.autocommit = False
    cursor = held.cursor()
    cursor.execute('insert into ledger values (500000)')
    os.kill(t.b.process.pid, signal.SIGSTOP)
    wait_until(lambda: t.a.command('failover', 'A', '--fenced', check=False).returncode == 0,
               'A takes over once it hears nothing of B')
    t.a.wait_writable()
    t.a.query('insert into ledger values (500001)')
    os.kill(t.b.process.pid, signal.SIGCONT)
    try:
        held.commit()
        raise Failure('the old primary acknowledged a commit')
    except psycopg2.Error as e:
        expect(e.pgcode in ('57P01', None), f'57P01 or a closed connection, not {e.pgcode}')
    wait_until(lambda: follows(t.b), 'B follows')
    t.synchronized(t.a)
    t.agree(t.a)
    expect(t.a.value('select count(*) from ledger where n = 500000') == 0, 'nor is it there')
    t.b.command('switchover', 'B')
    wait_until(lambda: follows(t.a), 'A follows')
    t.synchronized(t.b)


def loss_by_permission(t):
    """What only the old primary had becomes an orphan branch, seen in `branches`."""
    primary, other = (t.b, t.a)
    t.b.command('protect', 'performance')
    t.c.kill()
    other.kill()
    for n in range(1000000, 1000020):
        primary.query(f'insert into ledger values ({n})')
    primary.query("create table lost as select g as n, 'lost' as t from generate_series(1, 100) g")
    primary.query('alter table ledger add column lost int')
    primary.kill()
    other.start(wait='answers')
    t.c.start(wait='answers')
    refused = other.command('failover', 'A', '--fenced', check=False)
    expect(refused.returncode != 0 and '--accept-loss' in refused.stderr, refused.stderr)
    other.command('failover', 'A', '--fenced', '--accept-loss')
    other.wait_writable()
    other.query('insert into ledger values (2000000)')
    primary.start(wait='answers')
    wait_until(lambda: follows(primary), 'B follows')
    t.agree(other)
    t.new_table(other, 'found')
    expect(other.value('select count(*) from ledger where n between 1000000 and 1000019') == 0,
           'they are on no branch that is followed')
    orphans = [line for line in other.command('branches').stdout.splitlines() if 'orphan' in line]
    expect(any(line.startswith('B ') for line in orphans), 'the orphan branch is listed')


def drops_and_refuses(t):
    told = t.a.command('drop', 'C').stdout
    expect('C is no longer in the configuration' in told, told)
    wait_until(lambda: 'C' not in t.a.status()['member'], 'C is gone')
    wrong = t.a.command('switchover', 'NOBODY', check=False)
    expect(wrong.returncode != 0 and 'NOBODY' in wrong.stderr, wrong.stderr)


def main():
    tests = [standbys_show_and_refuse, standby_restarts, list_lost_and_back,
             switchover_there_and_back, failover_and_return, stopped_primary_comes_to,
             loss_by_permission, drops_and_refuses]
    with Place(keep='KEEP' in os.environ) as place:
        trio = Trio(place)
        for test in tests:
            test(trio)
            print(f'{test.__name__}: ok', flush=True)
        for node in trio.all:
            node.stop()
    print(f'{len(tests)} passed, 0 failed')


if __name__ == '__main__':
    main()
