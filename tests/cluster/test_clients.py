#!/usr/bin/python3
"""What clients do beyond the usual: every command of psql that asks the catalogue, psql's own ways to run
statements, psycopg2's corners; and statements and bytes that are meant to do harm.

SPDX-License-Identifier: Apache-2.0
"""
import datetime
import decimal
import io
import os
import random
import socket
import struct
import sys

import psycopg2
import psycopg2.extras

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from harness import expect, run_on_one_node  # noqa: E402


def same(got, want):
    expect(got == want, f'got  {got!r}\nwant {want!r}')


# ---- psql ----------------------------------------------------------------------------------------

CATALOGUE = (r'\d \d+ \dt \dt+ \di \di+ \df+ \ds \dv \dm \dn \dn+ \du \du+ \dg \dx \dp \ddp \dD \dO \do \dE \db'
             r' \dC \dl \dRp \dRs \dP \dA \dAc \dAf \dconfig \drds \dd \des \det \dew \dc \dy \dL \dF'
             r' \dFd \dFp \dFt \dX \df \da \dT \l \l+ \lo_list').split()


def psql_asks_the_catalogue(node):
    node.psql('create table asked (id serial primary key, up int references asked);'
              'create view seen as select id from asked')
    commands = (*CATALOGUE, r'\d asked', r'\d+ asked', r'\d asked_pkey', r'\d asked_id_seq', r'\d seen',
                r'\d+ seen', r'\z asked')
    done = node.client('psql', '-X', stdin='\n'.join(f'\\echo {c[1:]}\n{c}' for c in commands))
    expect('ERROR' not in done.stderr, done.stderr)
    same(node.psql("select viewname, definition from pg_views where schemaname = 'public'"),
         'seen|select id from asked')


SCRIPT = r"""
\set ON_ERROR_ROLLBACK on
create table kept (a int primary key);
begin;
insert into kept values (1);
insert into kept values (1);
insert into kept values (2);
commit;
\set ON_ERROR_ROLLBACK off
\set AUTOCOMMIT off
insert into kept values (3);
rollback;
\set AUTOCOMMIT on
select 'insert into kept values (' || g || ')' from generate_series(10, 11) g \gexec
select max(a) as most from kept \gset
\echo most :most
select 1 as one, 'x' as two \gdesc
\set FETCH_COUNT 2
select g from generate_series(1, 5) g;
\set FETCH_COUNT 0
select 1 \; select 2;
select a, a % 2 as odd, 1 as n from kept where a < 3 order by a \crosstabview
\copy (select * from kept where a > 2) to stdout
select count(*) from kept;
"""
SAID = """most 11
one|integer
two|text
1
2
3
4
5
1
2
1|1|
2||1
10
11
4
"""


def psql_runs_statements(node):
    done = node.client('psql', '-X', '-q', '-A', '-t', stdin=SCRIPT)
    same(done.stdout, SAID)
    expect(done.stderr.count('ERROR') == 1 and 'kept_pkey' in done.stderr, done.stderr)


# ---- psycopg2 ------------------------------------------------------------------------------------

def psycopg2_corners(node):
    connection = psycopg2.connect(node.dsn())
    cursor = connection.cursor()
    cursor.execute('create table corner (id serial primary key, t text, n numeric, b bytea, a text[])')
    row = ('x', decimal.Decimal('1.50'), psycopg2.Binary(b'\0\xff'), ['a', None, 'q"x'])
    cursor.executemany('insert into corner (t, n, b, a) values (%s, %s, %s, %s)', [row, (None,) * 4])
    connection.commit()
    cursor.execute('select t, n, b, a from corner order by id')
    first, second = cursor.fetchall()
    same((first[0], first[1], bytes(first[2]), first[3]), ('x', row[1], b'\0\xff', row[3]))
    same(second, (None,) * 4)
    cursor.copy_from(io.StringIO('7\tab\n8\t\\N\n'), 'corner', columns=('id', 't'))
    out = io.StringIO()
    cursor.copy_expert('copy (select id, t from corner where id > 5 order by id) to stdout csv header', out)
    same(out.getvalue(), 'id,t\n7,ab\n8,\n')
    connection.rollback()
    for level, name in ((1, 'read committed'), (2, 'repeatable read')):
        connection.set_session(isolation_level=level)
        cursor.execute('show transaction_isolation')
        same(cursor.fetchone(), (name,))
        connection.rollback()
    hold = connection.cursor('hold', withhold=True)
    hold.execute('select g from generate_series(1, 5) g')
    connection.commit()
    same(len(hold.fetchall()), 5)
    hold.close()
    cursor.execute('select %s, %s, %s::int[], 1 where 1 in %s',
                   (datetime.timedelta(days=1, seconds=5), datetime.time(1, 2, 3), [], (1, 2)))
    same(cursor.fetchone(), (datetime.timedelta(days=1, seconds=5), datetime.time(1, 2, 3), [], 1))
    cursor.execute('drop table if exists never_there')
    expect('does not exist, skipping' in connection.notices[-1], connection.notices)
    cursor.callproc('lower', ('ABC',))
    same(cursor.fetchone(), ('abc',))
    connection.close()


# ---- harm ----------------------------------------------------------------------------------------

def many(n, start='', each='', end=''):
    return start + each * n + end


def harmful():
    """(statement, the SQLSTATE of a refusal or None)"""
    n = 100000
    numbers = ','.join(map(str, range(n)))
    yield many(n, 'select ', '(') + '1' + ')' * n, '54001'
    yield many(n, 'select ', 'not ', 'true'), '54001'
    yield many(n, 'select ', '1+', '1'), '54001'
    yield many(n, 'select ', 'case when true then ') + '1' + ' end' * n, '54001'
    yield many(n, 'select ', '(select ') + '1' + ')' * n, '54001'
    yield many(n, 'select 1', ' union all select 1'), '54001'
    yield many(n, 'select 1', '::int'), '54001'
    yield many(n, 'select ', 'true and ', 'true'), None
    yield f'select 5 in ({numbers})', None
    yield f'select count(*) from pg_class where oid in ({numbers})', None
    yield f'select {numbers}', '54011'
    yield f'create table wide ({",".join(f"c{i} int" for i in range(n))})', '54011'
    yield 'select 1 as ' + 'x' * 1000000, None
    yield "select length('" + 'x' * 1000000 + "')", None
    yield 'select ' + '1' * 1000000, '22003'
    yield many(n, 'select 1 /*', '/*') + '*/' * n + '*/', None
    yield 'select * from generate_series(1, 1000000000000) limit 3', None
    yield "select repeat('x', 2000000000)", '54000'
    yield "select repeat(repeat('x', 1000000), 1000)", '53200'
    yield "select string_agg(repeat('x', 1000000), '') from generate_series(1, 1000)", '53200'
    yield "select repeat('a', 5000) ~ '(a|a)*(a|a)*(a|aa)+$b'", None
    yield "select 'a' ~ '" + '(' * n + ')' * n + "'", '2201B'


def statements_that_do_harm(node):
    connection = node.connect()
    cursor = connection.cursor()
    for text, code in harmful():
        try:
            cursor.execute(text)
            got = None
        except psycopg2.Error as error:
            got = error.pgcode
        expect(got == code, f'{text[:60]}…: {got}, not {code}')
        cursor.execute('select 1')  # the session goes on
        same(cursor.fetchone(), (1,))


def message(kind, body):
    return kind + struct.pack('!i', len(body) + 4) + body


PIPELINE = (message(b'P', b's\0select $1::int + 1\0\0\1\0\0\0\x17') +
            message(b'B', b'p\0s\0\0\1\0\1\0\1\0\0\0\4\0\0\0\1\0\1\0\1') + message(b'D', b'Pp\0') +
            message(b'E', b'p\0\0\0\0\0') + message(b'C', b'Ss\0') + message(b'S', b''))


def dial(node):
    return socket.create_connection(('127.0.0.1', node.sql_port), timeout=60)


def opened(node):
    s = dial(node)
    body = struct.pack('!i', 196608) + b'user\0redoubt\0database\0redoubt\0\0'
    s.sendall(struct.pack('!i', len(body) + 4) + body)
    data = b''
    while b'Z\0\0\0\5' not in data:
        data += s.recv(4096)
    return s


def bytes_that_do_harm(node):
    """SQL-7, PROTO-1 to 3: whatever arrives, only the connection that sent it is the worse for it."""
    rng = random.Random(5)

    def send(s, data):
        try:
            s.sendall(data)
            s.shutdown(socket.SHUT_WR)
            while s.recv(65536):
                pass
        except OSError:
            pass  # it was closed on us
        s.close()

    for _ in range(50):
        send(dial(node), rng.randbytes(rng.randrange(1, 200)))
    for _ in range(100):
        body = rng.randbytes(rng.randrange(60))
        send(opened(node), message(bytes([rng.choice(b'QPBDECSHFfdcpX')]), body) + message(b'S', b''))
    for _ in range(150):
        data = bytearray(PIPELINE)
        for _ in range(rng.randrange(1, 4)):
            data[rng.randrange(len(data))] = rng.randrange(256)
        send(opened(node), bytes(data))
    s = opened(node)
    for body in (b"select '\xff\xfe'\0", b"select 'ab\xc3'\0"):
        s.sendall(message(b'Q', body))
        data = b''
        while b'Z\0\0\0\5' not in data:
            data += s.recv(4096)
        expect(b'C22021\0' in data, data)
    s.close()
    same(node.value('select 1'), 1)


if __name__ == '__main__':
    run_on_one_node((psql_asks_the_catalogue, psql_runs_statements, psycopg2_corners, statements_that_do_harm,
                     bytes_that_do_harm))
