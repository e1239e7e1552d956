#!/usr/bin/python3
"""What psql, pgbench, psycopg2 and the bare protocol are told by one real node.

SPDX-License-Identifier: Apache-2.0
"""
import datetime
import decimal
import io
import os
import struct
import sys
import threading

import psycopg2
import psycopg2.extensions
import psycopg2.extras

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from harness import bank_consistent, expect, run_on_one_node, wait_until  # noqa: E402
from wire import Wire, told  # noqa: E402


def same(got, want):
    expect(got == want, f'got  {got!r}\nwant {want!r}')


def refused(cursor, text, code, *args):
    try:
        cursor.execute(text, *args)
    except psycopg2.Error as error:
        expect(error.pgcode == code, f'{text}: {error.pgcode} {error}, not {code}')
        return error
    raise AssertionError(f'{text}: no error, not {code}')


# ---- psql ----------------------------------------------------------------------------------------

DESCRIBED = """\
                                 Table "public.child"
 Column |         Type          | Collation | Nullable |              Default              
--------+-----------------------+-----------+----------+-----------------------------------
 id     | integer               |           | not null | nextval('child_id_seq'::regclass)
 up     | integer               |           |          | 
 name   | character varying(10) |           | not null | 'x'
 price  | numeric(8,2)          |           |          | 1.5
Indexes:
    "child_pkey" PRIMARY KEY, btree (id)
    "child_name_up" btree (name DESC, up)
    "child_up_name_key" UNIQUE CONSTRAINT, btree (up, name)
Check constraints:
    "child_price_check" CHECK (price > 0)
Foreign-key constraints:
    "child_up_fkey" FOREIGN KEY (up) REFERENCES parent(id) ON DELETE CASCADE
Referenced by:
    TABLE "grandchild" CONSTRAINT "grandchild_up_fkey" FOREIGN KEY (up) REFERENCES child(id)
"""


def psql_describes(node):
    node.psql('create table parent (id int primary key);'
              "create table child (id serial primary key, up int references parent on delete cascade,"
              " name varchar(10) not null default 'x', price numeric(8,2) default 1.5 check (price > 0),"
              ' unique (up, name));'
              'create index child_name_up on child (name desc, up);'
              'create table grandchild (up int references child);'
              "comment on table child is 'of a parent'")

    def say(command):
        return node.client('psql', '-X', '-c', command).stdout

    same(say(r'\d child').strip(), DESCRIBED.strip())
    for command, wanted in ((r'\dt', 'public | grandchild | table | redoubt'),
                            (r'\dt+', 'of a parent'),
                            (r'\d+ child', '"child_name_up" btree (name DESC, up)'),
                            (r'\di', 'public | child_name_up     | index | redoubt | child'),
                            (r'\d child_name_up', ' name   | character varying(10) | yes  | name'),
                            (r'\d child_id_seq', 'Owned by: public.child.id'),
                            (r'\ds', 'child_id_seq'),
                            (r'\l', 'redoubt | redoubt | UTF8'),
                            (r'\du', 'Superuser, Create role, Create DB, Replication'),
                            (r'\dn', 'public | redoubt'),
                            (r'\df lower', 'pg_catalog | lower | text'),
                            (r'\da sum', 'pg_catalog | sum'),
                            (r'\dT int4', 'integer')):
        expect(wanted in say(command), f'{command}:\n{say(command)}')
    done = node.client('psql', '-X', '-c', r'\d nothing', check=False)
    expect('Did not find any relation named "nothing"' in done.stderr, done.stderr)


def psql_says_where(node):
    for text, wanted in (('select 1 +', 'syntax error at end of input\nLINE 1: select 1 +'),
                         ('select nothing', 'column "nothing" does not exist\nLINE 1: select nothing\n'
                          '               ^'),
                         ('select row_number() over ()', 'LINE 1: select row_number() over ()')):
        done = node.client('psql', '-X', '-c', text, check=False)
        expect(wanted in done.stderr, done.stderr)


def psql_copies(node):
    node.psql('create table copied (a int, b text)')
    node.client('psql', '-X', '-c', r'\copy copied from stdin', stdin='1\tone\\ttab\n2\t\\N\n')
    node.client('psql', '-X', '-c', 'copy copied from stdin with (format csv, header)',
                stdin='a,b\n3,"with ""quotes"", and\na line"\n4,\n')
    same(node.query('select * from copied order by a'),
         [(1, 'one\ttab'), (2, None), (3, 'with "quotes", and\na line'), (4, None)])
    same(node.psql('copy (select * from copied where a < 3 order by a) to stdout'),
         '1\tone\\ttab\n2\t\\N')
    same(node.psql('copy copied (b, a) to stdout with (format csv, force_quote *)').split('\n')[0],
         '"one\ttab","1"')
    node.psql('create table counted (a int primary key, b int check (b > 0))')
    for line, code, where in (('1\t2\n', '23505', 'COPY counted, line 2'),
                              ('2\t0\n', '23514', 'COPY counted, line 2: "2\t0"'),
                              ('2\tx\n', '22P02', 'COPY counted, line 2, column b: "x"'),
                              ('2\n', '22P04', 'COPY counted, line 2: "2"')):
        try:
            node.connect().cursor().copy_expert('copy counted from stdin', io.StringIO('1\t1\n' + line))
        except psycopg2.Error as error:
            same((error.pgcode, error.diag.context), (code, where))
            continue
        raise AssertionError(f'{line}: no error, not {code}')


# ---- pgbench -------------------------------------------------------------------------------------

def pgbench_runs(node):
    for words in (('-I', 'dtgvp'), ('-I', 'dtGvpf'), ('--foreign-keys',)):
        node.pgbench('-i', '-q', '-s', '1', *words)
        same(node.value('select count(*) from pgbench_accounts'), 100000)
    for mode in ('simple', 'extended', 'prepared'):
        node.psql('truncate pgbench_history; update pgbench_accounts set abalance = 0;'
                  'update pgbench_tellers set tbalance = 0; update pgbench_branches set bbalance = 0')
        for script in ('tpcb-like', 'simple-update', 'select-only'):
            done = node.pgbench('-M', mode, '-b', script, '-c', '8', '-j', '2', '-t', '40', '-n')
            expect('transactions actually processed: 320/320' in done.stdout and
                   'failed transactions: 0 ' in done.stdout, done.stdout)
            if script == 'tpcb-like':
                bank_consistent(node)
            same(node.value('select sum(abalance) from pgbench_accounts'),
                 node.value('select sum(delta) from pgbench_history'))


# ---- psycopg2 ------------------------------------------------------------------------------------

VALUES = ((1, 'smallint'), (2 ** 31 - 1, 'int'), (1 - 2 ** 63, 'bigint'),
          (decimal.Decimal('12345678901234567890.123456789'), 'numeric'), (2.5e-300, 'double precision'),
          (True, 'boolean'), ('tëxt\t\'"\\', 'text'), ('v', 'varchar(5)'), ('c   ', 'char(4)'),
          (datetime.date(2024, 2, 29), 'date'),
          (datetime.datetime(2024, 2, 29, 1, 2, 3, 456789), 'timestamp'),
          (datetime.datetime(2024, 2, 29, 1, 2, 3, tzinfo=datetime.timezone.utc), 'timestamptz'),
          (None, 'int'), ([1, None, 3], 'int[]'))


def psycopg2_keeps_values(node):
    cursor = node.connect().cursor()
    columns = ', '.join(f'c{i} {t}' for i, (_, t) in enumerate(VALUES))
    cursor.execute(f'create table vals (id int primary key, {columns})')
    values = tuple(v for v, _ in VALUES)
    marks = ', '.join(['%s'] * len(VALUES))
    cursor.execute(f'insert into vals values (1, {marks}) returning *', values)
    same(cursor.fetchone(), (1, *values))
    cursor.execute('select * from vals where ' + ' and '.join(
        f'c{i} = %s::{t}' for i, (v, t) in enumerate(VALUES) if v is not None),
        [v for v in values if v is not None])
    same(cursor.rowcount, 1)
    psycopg2.extras.execute_values(cursor, 'insert into vals (id, c6) values %s',
                                   [(i, f'n{i}') for i in range(10, 500)])
    cursor.execute('select count(*), min(id), max(c6) from vals')
    same(cursor.fetchone(), (491, 1, 'tëxt\t\'"\\'))


def psycopg2_keeps_transactions(node):
    connection = psycopg2.connect(node.dsn())
    cursor = connection.cursor()
    cursor.execute('create table kept (a int primary key)')
    connection.commit()
    with connection, connection.cursor() as c:
        c.execute('insert into kept values (1)')
    cursor.execute('insert into kept values (2)')
    cursor.execute('savepoint s')
    error = refused(cursor, 'insert into kept values (1)', '23505')
    same((error.diag.table_name, error.diag.constraint_name, error.diag.message_detail),
         ('kept', 'kept_pkey', 'Key (a)=(1) already exists.'))
    refused(cursor, 'select 1', '25P02')
    cursor.execute('rollback to s')
    connection.rollback()
    same(node.query('select a from kept'), [(1,)])
    named = connection.cursor('stepwise')
    named.itersize = 100
    named.execute('select g from generate_series(1, 1000) g')
    same(sum(g for g, in named), 500500)
    connection.commit()
    connection.set_session(isolation_level='REPEATABLE READ', readonly=True)
    refused(cursor, 'insert into kept values (3)', '25006')
    connection.rollback()
    error = refused(cursor, 'select a,\n nothing from kept', '42703')
    same(error.diag.statement_position, '12')
    for before in ('prepare broken (int) as ', 'declare broken cursor for '):
        connection.rollback()
        error = refused(cursor, before + 'select nothing from kept', '42703')
        same(error.diag.statement_position, str(len(before) + 8))


def psycopg2_cancels(node):
    connection = node.connect()
    cursor = connection.cursor()
    for text in ('select pg_sleep(60)',
                 'select count(*) from generate_series(1, 100000) a, generate_series(1, 100000) b'):
        timer = threading.Timer(0.1, connection.cancel)
        timer.start()
        refused(cursor, text, '57014')
        timer.join()
    cursor.execute("set statement_timeout = '50ms'")
    refused(cursor, 'select pg_sleep(60)', '57014')


# ---- the bare protocol ---------------------------------------------------------------------------

def wire_portals(node):
    w = Wire(node.sql_port)
    w.query('begin')
    w.parse('select g from generate_series(1, 7) g')
    w.bind(portal='p')
    w.execute('p', 3)
    same(w.sync(), [('1',), ('2',), ('D', (b'1',)), ('D', (b'2',)), ('D', (b'3',)), ('s',), ('Z', 'T')])
    w.execute('p', 3)
    same(w.sync(), [('D', (b'4',)), ('D', (b'5',)), ('D', (b'6',)), ('s',), ('Z', 'T')])
    w.execute('p')
    w.close_named('P', 'p')
    w.execute('p')
    same(w.sync(), [('D', (b'7',)), ('C', 'SELECT 1'), ('3',), ('E', '34000'), ('Z', 'E')])
    w.query('rollback')
    w.close()


def wire_formats(node):
    w = Wire(node.sql_port)
    w.parse('select $1::int + 1, $2, 2.5::float8, true', 's', types=[0, 25])
    w.describe('S', 's')
    w.bind([struct.pack('!i', 41), b'text'], 's', formats=[1, 0], results=[1, 0, 1, 1])
    w.describe('P')
    w.execute()
    names = [('?column?', 23), ('?column?', 25), ('float8', 701), ('?column?', 16)]
    same(w.sync(), [('1',), ('t', (23, 25)), ('T', [(n, t, 0) for n, t in names]), ('2',),
                    ('T', [(n, t, f) for (n, t), f in zip(names, (1, 0, 1, 1))]),
                    ('D', (struct.pack('!i', 42), b'text', struct.pack('!d', 2.5), b'\1')),
                    ('C', 'SELECT 1'), ('Z', 'I')])
    w.bind([b'\0\0', b''], 's', formats=[1])
    same(w.sync(), [('E', '22P03'), ('Z', 'I')])
    w.bind([b'1'], 's')
    same(w.sync(), [('E', '08P01'), ('Z', 'I')])
    w.parse('select 1', 's')
    same(w.sync(), [('E', '42P05'), ('Z', 'I')])
    w.close_named('S', 's')
    w.bind([], 's')
    same(w.sync(), [('3',), ('E', '26000'), ('Z', 'I')])
    w.close()


def wire_pipelines(node):
    """What stands before one Sync is one transaction; after an error the rest up to it is left out."""
    w = Wire(node.sql_port)
    w.query('create table piped (a int primary key)')
    w.parse('insert into piped values ($1)', 'i')
    for batch in ((1, 2, 3), (4, 1, 5), (6,)):
        for n in batch:
            w.bind([b'%d' % n], 'i')
            w.execute()
        w.send('S')
    w.push()
    done = [('2',), ('C', 'INSERT 0 1')]
    same([told(*m) for m in w.until('Z')], [('1',), *done, *done, *done, ('Z', 'I')])
    same([told(*m) for m in w.until('Z')], [*done, ('2',), ('E', '23505'), ('Z', 'I')])
    same([told(*m) for m in w.until('Z')], [*done, ('Z', 'I')])
    same(node.query('select a from piped order by a'), [(1,), (2,), (3,), (6,)])
    same(w.query('insert into piped values (7); select 1/0')[-2:], [('E', '22012'), ('Z', 'I')])
    same(node.value('select count(*) from piped where a = 7'), 0)
    w.query('copy piped from stdin', 'G')
    w.send('d', b'8\n9')
    w.send('d', b'\n')
    w.send('f', b'not meant\0')
    w.push()
    same([told(*m) for m in w.until('Z')], [('E', '57014'), ('Z', 'I')])
    same(node.value('select count(*) from piped'), 4)
    w.close()


# ---- several at once -----------------------------------------------------------------------------

class Session:
    def __init__(self, node):
        self.connection = node.connect()
        self.cursor = self.connection.cursor()
        self.pid = self.connection.get_backend_pid()
        self.thread = self.result = None

    def run(self, text):
        try:
            self.cursor.execute(text)
            self.result = (self.cursor.fetchall() if self.cursor.description
                           else self.cursor.statusmessage)
        except psycopg2.Error as error:
            self.result = error.pgcode
        return self.result

    def begin(self, node, text):
        """Starts a statement and returns when it waits for a lock."""
        self.thread = threading.Thread(target=self.run, args=(text,))
        self.thread.start()
        wait_until(lambda: node.value('select wait_event_type from pg_stat_activity where pid = %s',
                                      self.pid) == 'Lock', f'{text} waits')

    def end(self):
        self.thread.join(30)
        expect(not self.thread.is_alive(), 'a statement waits for ever')
        return self.result


def looks_again_at_changed_rows(node):
    node.psql("create table rc (a int primary key, b int); insert into rc values (1,10),(2,20),(3,30)")
    a, b = Session(node), Session(node)

    def meanwhile(first, then, want):
        a.run('begin')
        a.run(first)
        b.begin(node, then)
        a.run('commit')
        same(b.end(), want)

    meanwhile('update rc set b = b + 1 where a = 1', 'update rc set b = b + 100 where a = 1', 'UPDATE 1')
    same(a.run('select b from rc where a = 1'), [(111,)])
    meanwhile('update rc set b = 0 where a = 1', 'update rc set b = -1 where b > 100', 'UPDATE 0')
    meanwhile('delete from rc where a = 2', 'delete from rc where a >= 2', 'DELETE 1')
    meanwhile('update rc set b = 5 where a = 1', 'select * from rc for update', [(1, 5)])
    meanwhile('insert into rc values (7, 7)', 'insert into rc values (7, 8)', '23505')
    meanwhile('insert into rc values (8, 8)', 'insert into rc values (8, 9) on conflict (a) do'
              ' update set b = rc.b + excluded.b returning b', [(17,)])
    a.run('begin')
    a.run('select * from rc where a = 7 for update')
    same(b.run('select a from rc order by a for update skip locked'), [(1,), (8,)])
    same(b.run('select a from rc for update nowait'), '55P03')
    a.run('commit')
    for s in (a, b):
        s.connection.close()


def refuses_what_would_be_lost(node):
    node.psql('create table rr (a int primary key, b int); insert into rr values (1, 1), (2, 2)')
    a, b = Session(node), Session(node)
    a.run('begin isolation level repeatable read')
    same(a.run('select sum(b) from rr'), [(3,)])
    b.run('update rr set b = 10 where a = 1')
    same(a.run('select sum(b) from rr'), [(3,)])
    same(a.run('update rr set b = 20 where a = 1'), '40001')
    a.run('rollback')
    a.run('begin')
    b.run('begin')
    a.run('update rr set b = 0 where a = 1')
    b.run('update rr set b = 0 where a = 2')
    a.begin(node, 'update rr set b = 0 where a = 2')
    same(b.run('update rr set b = 0 where a = 1'), '40P01')
    b.run('rollback')
    same(a.end(), 'UPDATE 1')
    a.run('commit')
    node.psql('create table refers (x int references rr)')
    a.run('begin')
    a.run('insert into refers values (1)')
    same(b.run('update rr set b = 3 where a = 1'), 'UPDATE 1')  # its key is left alone
    b.begin(node, 'delete from rr where a = 1')
    a.run('commit')
    same(b.end(), '23503')
    for s in (a, b):
        s.connection.close()


# ---- wide rows, late keys, held plans --------------------------------------------------------------

def holds_what_is_wide(node):
    """A join has more columns than a table may; ORDER BY within has more keys than GROUP BY."""
    for name in ('a', 'b'):
        node.psql(f'create table wide_{name} ({", ".join(f"{name}{i} int" for i in range(1600))});'
                  f'insert into wide_{name} ({name}0, {name}1599) values (1, 5)')
    each = ', '.join(f'greatest(a{i}, b{i})' for i in range(1600))
    for join in ('join wide_b on a0 = b0', 'left join wide_b on a0 <= b0', 'full join wide_b on a0 = b0'):
        got = node.query(f'select {each} from wide_a {join}')
        same([(r[0], r[1], r[1599]) for r in got], [(1, None, 5)])
    many = ', '.join(f'a{i}' for i in range(150))
    same(node.value(f'select array_agg(a1599 order by {many}) from wide_a'), [5])


def gets_a_key_late(node):
    """The definitions before a column that the key has now are those of no row."""
    node.psql('create table late (a int); insert into late values (7);'
              'alter table late add x int default 3; alter table late add primary key (x);'
              'alter table late add y int; insert into late values (8, 4, 5)')
    same(node.query('select * from late order by x'), [(7, 3, None), (8, 4, 5)])
    node.psql('create table later (a int); alter table later add column id serial primary key')


def plans_anew_for_another_path(node):
    node.psql('create schema one; create schema two;'
              'create table one.d (a int, x int); create table two.d (a int, x int);'
              'insert into one.d values (1, 10); insert into two.d values (1, 20)')
    cursor = node.connect().cursor()
    cursor.execute('set search_path = one; prepare s as select x from d where a = $1;'
                   'prepare u as update d set x = x + 1 where a = $1 returning x')
    for path, first in (('one', 10), ('two', 20), ('one', 11)):
        cursor.execute(f'set search_path = {path}; execute s (1)')
        same(cursor.fetchall(), [(first,)])
        cursor.execute('execute u (1)')
        same(cursor.fetchall(), [(first + 1,)])


# ---- the past ------------------------------------------------------------------------------------

def reads_the_past(node):
    # SQL-41 among others
    node.psql('create table past (a int primary key, b text); create index past_b on past (b);'
              "insert into past select g, 'old' from generate_series(1, 100) g")
    scn = node.value('select current_scn from v$database')
    when = node.value('select clock_timestamp()')
    node.psql("update past set b = 'new'; delete from past where a > 50")
    for moment in (f'scn {scn}', f"timestamp '{when}'"):
        same(node.query(f'select count(*), min(b) from past as of {moment}'), [(100, 'old')])
        same(node.query(f'select b from past as of {moment} where a = 70'), [('old',)])
        same(node.value(f"select count(*) from past as of {moment} where b = 'old'"), 100)
    same(node.query(f'select count(*) from past p join past as of scn {scn} o on p.a = o.a'
                    ' where p.b <> o.b'), [(50,)])
    node.psql('alter table past add column c int default 7; alter table past drop column b')
    same(node.query(f'select * from past as of scn {scn} where a = 1'), [(1, 'old')])
    node.psql('truncate past')
    same(node.value(f'select count(*) from past as of scn {scn}'), 100)
    node.psql(f'insert into past select a, 1 from past as of scn {scn}')
    same(node.value('select count(*) from past'), 100)
    node.psql('drop table past')
    same(node.value(f'select count(*) from past as of scn {scn}'), 100)
    cursor = node.connect().cursor()
    refused(cursor, 'select * from past', '42P01')
    refused(cursor, 'select 1 from pg_class as of scn 99999999999', 'RD005')
    # a moment that is a parameter: the definition must be that of now
    node.psql('create table past (a int primary key); insert into past values (1)')
    cursor.execute('prepare back (bigint) as select count(*) from past as of scn $1')
    later = node.value('select current_scn from v$database')
    node.psql('delete from past')
    cursor.execute(f'execute back ({later})')
    same(cursor.fetchall(), [(1,)])
    refused(cursor, f'execute back ({scn})', '42P01')
    node.psql('truncate past')
    refused(cursor, f'execute back ({later})', '0A000')


if __name__ == '__main__':
    run_on_one_node((psql_describes, psql_says_where, psql_copies, psycopg2_keeps_values,
                     psycopg2_keeps_transactions, psycopg2_cancels, wire_portals, wire_formats, wire_pipelines,
                     looks_again_at_changed_rows, refuses_what_would_be_lost, holds_what_is_wide,
                     gets_a_key_late, plans_anew_for_another_path, reads_the_past, pgbench_runs))
