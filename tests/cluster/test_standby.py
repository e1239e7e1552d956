#!/usr/bin/python3
"""A standby that was away for longer than redo is kept: from the archive, or by a base copy over
itself, killed at any moment.

SPDX-License-Identifier: Apache-2.0
"""
import os
import signal
import subprocess
import sys
import threading
import time

import psycopg2

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from harness import Failure, Place, expect, follows, free_ports, wait_until  # noqa: E402

SMALL = dict(redo__file_size='1MB', redo__keep='2MB', redo__ring='2MB')


def write_much(node, count):
    """More redo than is kept, in rows that do not compress."""
    digest = ' || '.join('md5(random()::text)' for _ in range(10))
    for _ in range(count):
        node.query(f"insert into much select g, {digest}, '' from generate_series("
                   "(select coalesce(max(a), 0) + 1 from much), "
                   "(select coalesce(max(a), 0) + 10000 from much)) g")


def lose_redo(a):
    """What B has not seen of A's redo is longer than A keeps, and recovery does not need it."""
    first = sorted(os.listdir(os.path.join(a.dir, 'redo')))[0]
    write_much(a, 2)
    a.query('checkpoint')
    seen = sorted(f for f in os.listdir(os.path.join(a.dir, 'redo')) if f.startswith('redo-'))[-1]
    write_much(a, 2)
    a.query('checkpoint')
    expect(first != seen, 'redo went on to other files')

    def let_go():  # by a flush after the times of the last commits are stored
        a.query("insert into much select max(a) + 1, '', '' from much")
        a.query('checkpoint')
        return not os.path.exists(os.path.join(a.dir, 'redo', seen))
    wait_until(let_go, 'redo was let go')


def caught_up(b, a):
    """Not before a copy is installed: what it lacked no longer exists as redo."""
    try:
        return follows(b) and b.scn() >= a.scn()
    except psycopg2.Error:  # it is opened anew
        return False


def same_rows(a, b):
    b.wait_scn(a.scn())
    text = 'select count(*), sum(length(b) + length(c)), max(a) from much'
    expect(a.query(text) == b.query(text), f'{b.name} holds what {a.name} holds')


def pair(place, **keys):
    a, b = place.node('A'), place.node('B')
    a.init()
    a.configure(**dict(SMALL, **keys))
    a.start()
    a.query('create table much (a int primary key, b text, c text)')
    write_much(a, 2)
    b.join(a)
    b.configure(**SMALL)
    b.start(wait='answers')
    same_rows(a, b)
    return a, b


def catches_up_from_the_archive():
    with Place(keep='KEEP' in os.environ) as place:
        a, b = pair(place, archive__dir=os.path.join(place.dir, 'archive'))
        b.stop()
        lose_redo(a)
        b.start(wait='answers')
        wait_until(lambda: follows(b), 'B follows')
        same_rows(a, b)
        expect('base copy' not in b.log(), 'from the archive, without a base copy')


def goes_on_after_restarts():
    """DEST-3: what a standby that is away has not got outlives the primary's restarts, clean or not."""
    with Place(keep='KEEP' in os.environ) as place:
        a, b = pair(place, redo__keep='100MB')
        c = place.node('C')
        c.join(a)
        c.start(wait='answers')
        wait_until(lambda: follows(c), 'C follows: with it A is a majority')
        b.stop()
        for i in range(6):
            write_much(a, 1)
            a.query('checkpoint')
            a.stop() if i % 2 == 0 else a.kill()
            a.start()
        b.start(wait='answers')
        wait_until(lambda: follows(b), 'B follows')
        same_rows(a, b)
        expect('base copy' not in b.log(), 'without a base copy')


def copies_over_itself():
    """RESEED-1, RESEED-2: no operator, whatever is cut off; name, key and addresses stay."""
    with Place(keep='KEEP' in os.environ) as place:
        a, b = pair(place)
        a.command('protect', 'availability', '--sync', 'ANY 1 (B)')
        files = [open(os.path.join(b.dir, n)).read() for n in ('cluster.key', 'redoubt.yaml')]
        b.stop()
        wait_until(lambda: not a.status()['synchronized'], 'A goes on alone')
        lose_redo(a)
        log = 0
        for step in range(6):
            b.start(wait=False)
            wait_until(lambda: b.log().count('takes a base copy', log) or 'follows' in b.log()[log:],
                       'B begins')
            # A little later each time: that it is some moment of the copy is what is wanted.
            time.sleep(step * 0.03)
            log = len(b.log())
            b.kill()
        b.start(wait=False)
        wait_until(lambda: caught_up(b, a), 'B has copied A and follows')
        expect('the base copy is whole' in b.log(), 'by a base copy')
        same_rows(a, b)
        wait_until(lambda: a.status()['synchronized'], 'and stands for the list again')
        expect(files == [open(os.path.join(b.dir, n)).read() for n in ('cluster.key', 'redoubt.yaml')],
               'its key and its configuration are what they were')
        expect(not os.path.exists(os.path.join(b.dir, 'reseed')), 'nothing is left of the copy')
        b.command('switchover', 'B')
        b.wait_writable()
        wait_until(lambda: follows(a), 'A follows')
        b.query("insert into much values (-1, '', '')")
        same_rows(b, a)


def reads_while_it_applies():
    """G1, G6, D19: queries on a standby are neither cancelled nor held up by apply, whatever the primary
    does to what they read; DDL appears at its SCN; sessions are read-only; libpq finds roles."""
    with Place(keep='KEEP' in os.environ) as place:
        a, b = pair(place)
        rows = a.value('select count(*) from much')
        reader = b.connect()
        reader.autocommit = False
        cursor = reader.cursor()
        cursor.execute('begin isolation level repeatable read')
        cursor.execute('select count(*) from much')
        expect(cursor.fetchone()[0] == rows, 'before')
        slow = b.connect()
        stream = slow.cursor()
        thread_result = []

        def long_query():
            stream.execute('select count(*) from much m, generate_series(1, 40) g '
                           'where m.a + g >= 0')
            thread_result.append(stream.fetchone()[0])
        thread = threading.Thread(target=long_query)
        thread.start()
        a.query('delete from much where a % 2 = 0')
        a.query('vacuum full')
        a.query('alter table much add column d int default 7')
        a.query('create index on much (c)')
        scn = a.scn()
        b.wait_scn(scn)
        expect(b.value('select d from much limit 1') == 7, 'DDL has come')
        a.query('drop table much')
        a.query('create table much (a int primary key, b text, c text)')
        a.query('vacuum full')
        b.wait_scn(a.scn())
        expect(b.value('select count(*) from much') == 0, 'the new table is seen by new queries')
        cursor.execute('select count(*), min(a), max(a) from much')
        expect(cursor.fetchone()[0] == rows, 'an old snapshot still sees all of it')
        thread.join()
        expect(thread_result == [rows * 40], f'the long query ended well: {thread_result}')
        reader.rollback()
        for text in ("insert into much values (1, '', '')", 'update much set b = b', 'delete from much',
                     'create table t2 (a int)', 'drop table much', 'truncate much', 'vacuum',
                     'select * from much for update', "copy much from stdin"):
            done = b.client('psql', '-X', '-v', 'VERBOSITY=sqlstate', '-v', 'ON_ERROR_STOP=1', '-c', text, check=False, stdin='')
            expect(done.returncode != 0 and '25006' in done.stderr, f'{text}: {done.stderr}')
        both = f'host=127.0.0.1,127.0.0.1 port={b.sql_port},{a.sql_port} user=redoubt dbname=redoubt'
        for attrs, name in (('read-write', 'A'), ('primary', 'A'), ('read-only', 'B'), ('standby', 'B'),
                            ('prefer-standby', 'B'), ('any', 'B')):
            text = f'{both} target_session_attrs={attrs}'
            c = psycopg2.connect(text)
            cur = c.cursor()
            cur.execute('select name from v$database')
            expect(cur.fetchone()[0] == name, f'{attrs} finds {name}')
            c.close()
            done = subprocess.run(['psql', '-X', '-A', '-t', '-c', 'select name from v$database', text],
                                  capture_output=True, text=True)
            expect(done.stdout.strip() == name, f'psql: {attrs} finds {name}: {done}')
        b.stop()
        c = psycopg2.connect(f'{both} target_session_attrs=prefer-standby')
        c.close()
        try:
            psycopg2.connect(f'{both} target_session_attrs=standby').close()
            raise Failure('there is no standby')
        except psycopg2.OperationalError:
            pass


def reads_no_older_than_asked():
    """G2: a session waits for what it saw on the primary; and bounds how old its reads may be."""
    with Place(keep='KEEP' in os.environ) as place:
        a, b = pair(place)
        for i in range(50):
            a.query("insert into much values (%s, '', '')", -i - 1)
            scn = a.scn()
            c = b.connect()
            cursor = c.cursor()
            cursor.execute('select wait_for_scn(%s)', (scn,))
            expect(cursor.fetchone()[0] is True, 'it waits')
            cursor.execute('select count(*) from much where a = %s', (-i - 1,))
            expect(cursor.fetchone()[0] == 1, 'and sees its own write')
            c.close()
        expect(b.value('select wait_for_scn(%s, 50)', scn + 1000) is False, 'in vain, but not for ever')
        stats = {name: rest for name, *rest in b.query(
            "select name, member, lag < interval '1 minute', lag_bytes < 1000000000, "
            "age < interval '1 minute', state from v$dataguard_stats")}
        for name in ('transport lag', 'apply lag'):
            expect(stats[name] == ['B', True, True, True, 'FOLLOWING'], f'of its own: {stats}')
        c = b.connect()
        cursor = c.cursor()
        cursor.execute("set standby_max_data_delay = '30s'")
        cursor.execute('select count(*) from much')
        cursor.execute("set standby_max_data_delay = '1500ms'")
        os.kill(a.process.pid, signal.SIGSTOP)

        def too_old():
            try:
                cursor.execute('select count(*) from much')
                return False
            except psycopg2.Error as e:
                expect(e.pgcode == '55000' and 'standby_max_data_delay' in str(e), e)
                return True
        wait_until(too_old, 'reads are refused once the primary is not heard of')
        os.kill(a.process.pid, signal.SIGCONT)
        wait_until(lambda: not too_old(), 'and answered again')
        cursor.execute('reset standby_max_data_delay')
        cursor.execute('select 1')


def move(node):
    """Other ports, in redoubt.yaml, for the next start."""
    path = os.path.join(node.dir, 'redoubt.yaml')
    with open(path) as f:
        text = f.read()
    old = node.sql_port, node.guard_port
    node.sql_port, node.guard_port = free_ports(2)
    for was, now in zip(old, (node.sql_port, node.guard_port)):
        text = text.replace(f'127.0.0.1:{was}', f'127.0.0.1:{now}')
    with open(path, 'w') as f:
        f.write(text)


def found_again(primary, nodes):
    """Everybody knows where everybody is, and the primary is followed."""
    def known(asked):
        told = asked.status()['member']
        return all(told[n.name]['guard'] == n.guard() and told[n.name]['answers'] and
                   told[n.name]['sql'] == f'127.0.0.1:{n.sql_port}' for n in nodes)
    for n in nodes:  # each tells its own address, whatever the register says: so all are asked
        wait_until(lambda: known(n), f'{n.name} has the new addresses')
        if n is not primary:
            wait_until(lambda: follows(n), f'{n.name} follows')
            same_rows(primary, n)


def moves_to_other_addresses():
    with Place(keep='KEEP' in os.environ) as place:
        a, b = pair(place)
        a.command('protect', 'availability', '--sync', 'ANY 1 (B)')
        wait_until(lambda: a.status()['synchronized'], 'synchronized')
        taken = place.node('C')
        taken.guard_port = b.guard_port
        refused = a.command('join', taken.dir, '--name', 'C', '--from', a.guard(), '--guard',
                            b.guard(), '--sql', f'127.0.0.1:{taken.sql_port}', check=False)
        expect(refused.returncode == 1 and '"B" has the guard address' in refused.stderr, refused)
        b.stop()
        move(b)
        b.start(wait='answers')
        found_again(a, (a, b))  # a standby
        a.stop()
        move(a)
        a.start()
        found_again(a, (a, b))  # a primary that dials its standby
        wait_until(lambda: a.status()['synchronized'], 'synchronized')
        a.command('switchover', 'B')
        wait_until(lambda: follows(a), 'A follows')
        wait_until(lambda: b.status()['synchronized'], 'synchronized')
        b.stop()
        move(b)
        b.start()
        found_again(b, (a, b))  # a primary that its standby dials: where it was


def main():
    tests = [catches_up_from_the_archive, goes_on_after_restarts, copies_over_itself, moves_to_other_addresses,
             reads_while_it_applies, reads_no_older_than_asked]
    for test in tests:
        if len(sys.argv) > 1 and test.__name__ not in sys.argv[1:]:
            continue
        test()
        print(f'{test.__name__}: ok', flush=True)
    print(f'{len(tests)} passed, 0 failed')


if __name__ == '__main__':
    main()
