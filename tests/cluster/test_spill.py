#!/usr/bin/python3
"""A node with little memory answers as one with much; whatever ends its statements, no temporary file
is left, and no client makes it hold his rows in memory (SQL-42).

SPDX-License-Identifier: Apache-2.0
"""
import os
import sys
import threading

import psycopg2

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from harness import Place, expect, wait_until  # noqa: E402
from wire import Wire  # noqa: E402

ROWS = 120000
QUERIES = (
    'select id, v from big order by v, id limit 20 offset 50000',
    'select count(*), sum(n), max(s) from (select n, s from big order by s offset 1000) q',
    'select count(*), sum(c), max(m) from (select n, count(*) c, max(s) m from big group by n) q',
    'select count(*), sum(n) from (select distinct n, s from big) q',
    'select count(distinct s), count(distinct n), sum(distinct v) from big',
    'select count(*), sum(a.id), max(b.s) from big a join big b on a.n = b.id',
    'select count(*), sum(a.id), count(b.id) from big a left join big b on a.n = b.v and b.id > a.id',
    'select count(*), sum(id) from big where v not in (select n from big where n < 60000)',
    'select count(*), sum(n) from (select n from big except select v from big) q',
    'with c as materialized (select * from big) select count(*), max(b.s) from c a join c b on a.id = b.v',
)


def temporary(node):
    """Temporary files that the node has open: they have no names any more."""
    folder, found = f'/proc/{node.process.pid}/fd', 0
    for name in os.listdir(folder):
        try:
            target = os.readlink(f'{folder}/{name}')
        except FileNotFoundError:
            continue
        found += f'{node.dir}/tmp/' in target
    return found


def resident_kb(node):
    with open(f'/proc/{node.process.pid}/status') as f:
        return int(next(line for line in f if line.startswith('VmRSS:')).split()[1])


def fill(node):
    node.psql(f"""
        create table big (id int primary key, n int, v int, s text);
        insert into big select i, i * 7919 % {ROWS // 2}, i * 31 % {ROWS},
            'text of row ' || i from generate_series(1, {ROWS}) i""")


def answers(node):
    return [node.query(text) for text in QUERIES]


def little_gives_what_much_gives(node, wanted):
    for text, want in zip(QUERIES, wanted):
        got = node.query(text)
        expect(got == want, f'{text}: {got}, not {want}')
    plan = node.query('explain (analyze, costs off) ' + QUERIES[5])
    expect(any('Disk: ' in line for line, in plan), plan)
    expect(temporary(node) == 0, 'temporary files are left')
    expect(os.listdir(node.dir + '/tmp') == [], 'temporary files have names')


def a_write_of_many_rows_is_bounded(node):
    node.psql('create table copy (like_id int, s text)')
    node.psql('insert into copy select a.id, b.s from big a join big b on a.n = b.id order by b.s')
    node.psql('update copy set s = big.s from big where big.id = copy.like_id')
    expect(node.value('select count(*) from copy c join big b on b.id = c.like_id where b.s <> c.s') == 0,
           'an update with a join')


def a_cancelled_statement_leaves_nothing(node):
    connection = node.connect()
    cursor = connection.cursor()
    done = threading.Event()

    def cancel():
        wait_until(lambda: temporary(node) > 0 or done.is_set(), 'the statement spills')
        connection.cancel()

    for text in QUERIES[1:3]:
        done.clear()
        thread = threading.Thread(target=cancel)
        thread.start()
        try:
            cursor.execute(f'select count(*) from ({text}) a, generate_series(1, 2000000000) b')
            raise AssertionError('it was not cancelled')
        except psycopg2.Error as error:
            expect(error.pgcode == '57014', error)
        done.set()
        thread.join()
        wait_until(lambda: temporary(node) == 0, 'its files are gone')
        cursor.execute('select 1')
    connection.close()


def a_client_that_leaves_leaves_nothing(node):
    w = Wire(node.sql_port)
    w.query('begin')
    w.query('declare c cursor for select * from big order by s')
    w.query('fetch 1 from c')
    w.query('select 1')
    expect(temporary(node) > 0, 'the cursor has no file')
    w.close()
    wait_until(lambda: temporary(node) == 0, 'its files are gone')


def a_slow_client_is_waited_for(node):
    """Some 150 MB of rows that nobody reads, and cursors over them, cost the node little memory."""
    slow = [Wire(node.sql_port) for _ in range(3)]
    before = resident_kb(node)
    for w in slow:
        w.query('begin')
        w.query('declare c cursor for select a.s, a.id from big a, generate_series(1, 10) g')
        w.query('fetch 3 from c')
        w.query('select 1')
        w.send('Q', b'fetch all from c\0')
        w.push()
    wait_until(lambda: node.value("select count(*) from pg_stat_activity where state = 'active'"
                                  " and query = 'fetch all from c'") == 3, 'all of them send')
    grown = resident_kb(node) - before
    expect(grown < 60 << 10, f'{grown} kB more')
    for w in slow:
        w.close()
    wait_until(lambda: temporary(node) == 0, 'their files are gone')


def the_cap_is_kept(node):
    connection = node.connect()
    cursor = connection.cursor()
    try:
        cursor.execute(QUERIES[1])
        raise AssertionError('it was not refused')
    except psycopg2.Error as error:
        expect(error.pgcode == '53400', error)
    cursor.execute('select 1')
    connection.close()
    expect(temporary(node) == 0, 'temporary files are left')


def main():
    with Place() as place:
        node = place.node('A')
        node.init()
        node.start()
        fill(node)
        wanted = answers(node)
        node.stop()
        node.configure(memory__query="8MB", memory__work="512kB", memory__memtables="16MB")
        with open(node.dir + '/tmp/7.tmp', 'w') as f:
            f.write('left by a crash')
        node.start()
        expect(os.listdir(node.dir + '/tmp') == [], 'what a crash left is still there')
        little_gives_what_much_gives(node, wanted)
        tests = (a_write_of_many_rows_is_bounded, a_cancelled_statement_leaves_nothing,
                 a_client_that_leaves_leaves_nothing, a_slow_client_is_waited_for)
        for test in tests:
            print(test.__name__, flush=True)
            test(node)
        node.stop()
        node.configure(sql__temp_size='200kB')
        node.start()
        the_cap_is_kept(node)
        node.stop()
    print(f'{len(tests) + 2} passed, 0 failed')


if __name__ == '__main__':
    main()
