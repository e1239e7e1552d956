#!/usr/bin/python3
"""One node with real clients: psql, pgbench, psycopg2; killed under load and started again.

SPDX-License-Identifier: Apache-2.0
"""
import os
import random
import socket
import subprocess
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from harness import (BIN, Ledger, Place, bank_consistent, expect, pgbench_rate,  # noqa: E402
                     wait_until)


def loads_and_runs_pgbench(node):
    """Every built-in script in every mode, unchanged."""
    for steps in ('dtgvp', 'dtGvpf'):
        node.pgbench('-i', '-s', '1', '-I', steps, '-q')
    for mode in ('simple', 'extended', 'prepared'):
        for script in ('tpcb-like', 'simple-update', 'select-only'):
            done = node.pgbench('-M', mode, '-b', script, '-c', '4', '-j', '2', '-t', '50', '-n')
            expect(pgbench_rate(done) > 0, done.stdout)
            expect('0 (0.000%)' in done.stdout, done.stdout)
    bank_consistent_tpcb_only(node)


def bank_consistent_tpcb_only(node):
    """simple-update touches accounts alone; so only branches and tellers can be compared here."""
    branches = node.value('select sum(bbalance) from pgbench_branches')
    tellers = node.value('select sum(tbalance) from pgbench_tellers')
    expect(branches == tellers, f'{branches} and {tellers}')


def survives_kills_under_load(node, times):
    node.query('create table ledger (n int primary key)')
    node.pgbench('-i', '-s', '1', '-q')
    ledger = Ledger(node.dsn())
    for _ in range(times):
        before, moved = len(ledger.told), node.value('select count(*) from pgbench_history')
        with node.load('-c', '4'):
            ledger.start()
            wait_until(lambda: len(ledger.told) >= before + 50 and
                       node.value('select count(*) from pgbench_history') >= moved + 20,
                       'more commits of both')
            time.sleep(random.uniform(0, 0.03))  # a moment of chance is what is wanted
            node.kill()
        node.start()
        ledger.stop()
        told = ledger.compare(node.query('select n from ledger'))
        bank_consistent(node)
    print(f'{times} kills, {told} acknowledged commits, all there')


def reads_the_past(node):
    node.query('create table past (a int primary key, b text)')
    node.query("insert into past select g, 'x' from generate_series(1, 100) g")
    scn = node.value('select current_scn from v$database')
    node.query('delete from past')
    expect(node.value('select count(*) from past') == 0, 'deleted')
    expect(node.value(f'select count(*) from past as of scn {scn}') == 100, 'AS OF')
    node.query(f'insert into past select * from past as of scn {scn}')
    expect(node.value('select count(*) from past') == 100, 'brought back')


def refuses_a_port_that_is_taken(node):
    """A node that no other could reach does not open: it ends and says which address it was."""
    node.stop()
    with socket.socket() as taken:
        taken.bind(('127.0.0.1', node.guard_port))
        taken.listen()
        done = subprocess.run([os.path.join(BIN, 'redoubtd'), node.dir], stdin=subprocess.DEVNULL,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=60)
    expect(done.returncode != 0 and node.guard() in done.stdout, done.stdout)
    node.start()


def main():
    tests = [refuses_a_port_that_is_taken, loads_and_runs_pgbench, reads_the_past,
             lambda n: survives_kills_under_load(n, int(os.environ.get('KILLS', '5')))]
    for test in tests:
        with Place() as place:
            node = place.node('A')
            node.init()
            node.start()
            test(node)
            node.stop()
    print(f'{len(tests)} passed, 0 failed')


if __name__ == '__main__':
    main()
