#!/usr/bin/python3
"""Tables are made, changed, emptied, renamed and dropped, alone and inside longer transactions, while
primaries are killed, roles change, and standbys come and go. Whoever made the changes knows what each
table must hold; in the end every member shows just that, by its rows and by each of its indexes, and so does a restored backup.

DDL_ROUNDS (default 6) and DDL_SEED make it longer and repeatable.
SPDX-License-Identifier: Apache-2.0
"""
import copy
import os
import random
import sys
import threading

import psycopg2

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from harness import Failure, Place, expect, follows, multi_host, wait_until  # noqa: E402

ROUNDS = int(os.environ.get('DDL_ROUNDS', '6'))
SEED = int(os.environ.get('DDL_SEED', '1'))


class Table:
    def __init__(self, name):
        self.name = name
        self.columns = {'a': 0}  # beside id: what new rows get
        self.indexes = {}        # name: column
        self.rows = {}           # id: {column: value}


class Maker(threading.Thread):
    """One client with tables of its own. Each step is one transaction, which also writes the step's
    number: so the outcome of a commit whose answer was lost can be seen."""

    def __init__(self, number, dsn):
        super().__init__()
        self.number, self.dsn = number, dsn
        self.random = random.Random(SEED * 1000 + number)
        self.tables = {}
        self.step = self.made = self.in_doubt = 0
        self.ending = False
        self.failure = None

    def run(self):
        try:
            while not self.ending:
                self.session()
        except Exception as e:  # told by whoever joins
            self.failure = e

    # ---- transactions -------------------------------------------------------------------------

    def session(self):
        try:
            connection = psycopg2.connect(self.dsn, connect_timeout=5)
        except psycopg2.Error:
            return
        try:
            connection.autocommit = True
            self.settle(connection.cursor())
            while not self.ending:
                self.transaction(connection.cursor())
        except (psycopg2.OperationalError, psycopg2.InterfaceError,
                psycopg2.errors.ReadOnlySqlTransaction):
            pass  # the node died, or is no primary any more
        finally:
            connection.close()

    def settle(self, cursor):
        """What became of the step whose answer never came."""
        if self.in_doubt == 0:
            return
        cursor.execute('select step from steps where maker = %s', (self.number,))
        reached = cursor.fetchone()[0]
        expect(reached in (self.step, self.in_doubt), f'maker {self.number}: step {reached}, where '
               f'{self.step} was acknowledged and {self.in_doubt} asked for')
        if reached == self.in_doubt:
            self.tables, self.step = self.wanted, self.in_doubt
        self.in_doubt = 0

    def transaction(self, cursor):
        self.wanted = copy.deepcopy(self.tables)
        cursor.execute('begin')
        self.in_doubt = self.step + 1
        for _ in range(self.random.choice((1, 1, 2, 5))):
            if self.random.random() < 0.15:
                self.undone(cursor)
            self.change(cursor)
        if self.random.random() < 0.15:
            cursor.execute('rollback')
            self.in_doubt = 0
            return
        cursor.execute('update steps set step = %s where maker = %s', (self.in_doubt, self.number))
        cursor.execute('commit')
        self.tables, self.step, self.in_doubt = self.wanted, self.in_doubt, 0
        self.made += 1

    def undone(self, cursor):
        before = copy.deepcopy(self.wanted)
        cursor.execute('savepoint s')
        for _ in range(self.random.choice((1, 3))):
            self.change(cursor)
        cursor.execute('rollback to savepoint s')
        self.wanted = before

    # ---- changes ------------------------------------------------------------------------------

    def change(self, cursor):
        if len(self.wanted) < 2:
            return self.create(cursor)
        t = self.wanted[self.random.choice(sorted(self.wanted))]
        self.random.choice((
            self.insert, self.insert, self.insert, self.update, self.update, self.delete,
            self.add_column, self.drop_column, self.create_index, self.drop_index, self.truncate,
            self.rename, self.drop))(cursor, t)

    def new_name(self, kind):
        return f'm{self.number}_{kind}{self.random.randrange(10 ** 9)}'

    def create(self, cursor):
        t = Table(self.new_name('t'))
        cursor.execute(f'create table {t.name} (id int primary key, a int default 0)')
        self.wanted[t.name] = t

    def insert(self, cursor, t):
        ids = [self.random.randrange(10 ** 6) for _ in range(self.random.choice((1, 20, 300)))]
        ids = sorted(set(ids) - set(t.rows))
        if not ids:
            return
        base = self.random.randrange(10 ** 6)
        cursor.execute(f'insert into {t.name} (id, a) select x, x %% 100 + {base} from unnest(%s) x',
                       (ids,))
        for i in ids:
            t.rows[i] = dict(t.columns, a=i % 100 + base)

    def update(self, cursor, t):
        column, rest = self.random.choice(sorted(t.columns)), self.random.randrange(7)
        cursor.execute(f'update {t.name} set {column} = {column} + 1 where id % 7 = {rest}')
        for i, row in t.rows.items():
            if i % 7 == rest:
                row[column] += 1

    def delete(self, cursor, t):
        rest = self.random.randrange(11)
        cursor.execute(f'delete from {t.name} where id % 11 = {rest}')
        t.rows = {i: row for i, row in t.rows.items() if i % 11 != rest}

    def add_column(self, cursor, t):
        name, value = f'c{self.random.randrange(10 ** 9)}', self.random.randrange(100)
        cursor.execute(f'alter table {t.name} add column {name} int not null default {value}')
        t.columns[name] = value
        for row in t.rows.values():
            row[name] = value

    def drop_column(self, cursor, t):
        name = self.random.choice(sorted(t.columns))
        if name == 'a':
            return
        cursor.execute(f'alter table {t.name} drop column {name}')
        del t.columns[name]
        t.indexes = {i: c for i, c in t.indexes.items() if c != name}
        for row in t.rows.values():
            del row[name]

    def create_index(self, cursor, t):
        name, column = self.new_name('i'), self.random.choice(sorted(t.columns))
        cursor.execute(f'create index {name} on {t.name} ({column})')
        t.indexes[name] = column

    def drop_index(self, cursor, t):
        if t.indexes:
            name = self.random.choice(sorted(t.indexes))
            cursor.execute(f'drop index {name}')
            del t.indexes[name]

    def truncate(self, cursor, t):
        if self.random.random() < 0.3:
            cursor.execute(f'truncate {t.name}')
            t.rows = {}

    def rename(self, cursor, t):
        name = self.new_name('t')
        cursor.execute(f'alter table {t.name} rename to {name}')
        del self.wanted[t.name]
        t.name = name
        self.wanted[name] = t

    def drop(self, cursor, t):
        if len(self.wanted) > 4:
            cursor.execute(f'drop table {t.name}')
            del self.wanted[t.name]

    # ---- what must be there -------------------------------------------------------------------

    def compare(self, node, cursor):
        cursor.execute('select relname from pg_class where relkind = %s and relname like %s',
                       ('r', f'm{self.number}!_%'.replace('!', '\\')))
        there = {r[0] for r in cursor.fetchall()}
        expect(there == set(self.tables), f'{node.name} has the tables {there ^ set(self.tables)} '
               'too many or too few')
        for t in self.tables.values():
            names = ['id'] + list(t.columns)
            want = sorted((i, *(row[c] for c in t.columns)) for i, row in t.rows.items())
            cursor.execute(f'select * from {t.name} order by id')
            expect([d[0] for d in cursor.description] == names, f'{node.name}: columns of {t.name}')
            expect(cursor.fetchall() == want, f'{node.name}: rows of {t.name}')
            for index, column in t.indexes.items():
                at = names.index(column)
                cursor.execute(f'select id, {column} from {t.name} where {column} >= 0 '
                               f'order by {column}, id')
                expect(cursor.fetchall() == sorted(((r[0], r[at]) for r in want),
                                                   key=lambda r: (r[1], r[0])),
                       f'{node.name}: {t.name} by {index}')


# ---- the operator -------------------------------------------------------------------------------

class Operator:
    def __init__(self, place):
        self.random = random.Random(SEED)
        self.place = place
        self.all = [place.node(n) for n in 'ABC']
        self.primary = self.all[0]
        self.primary.init()
        self.primary.configure(archive__dir=self.primary.dir + '.archive')
        self.primary.start()
        self.primary.query('create table steps (maker int primary key, step int)')
        self.primary.query('create table acts (act int primary key)')
        self.acts = 0
        for n in self.all[1:]:
            n.join(self.primary)
            n.configure(archive__dir=n.dir + '.archive')
            n.start(wait='answers')
        self.primary.command('protect', 'availability', '--sync', 'ANY 1 (B, C)')
        self.synchronized()

    def synchronized(self):
        wait_until(lambda: self.primary.status()['synchronized'], 'the primary says synchronized')

    def standbys(self):
        return [n for n in self.all if n is not self.primary]

    def kill_primary(self):
        self.primary.kill()
        self.primary.start()

    def kill_standby(self):
        n = self.random.choice(self.standbys())
        n.kill()
        n.start(wait='answers')
        wait_until(lambda: follows(n), f'{n.name} follows')

    def switchover(self):
        old, new = self.primary, self.random.choice(self.standbys())
        new.command('switchover', new.name)
        self.takes_writes(new)
        wait_until(lambda: follows(old), f'{old.name} follows')

    def failover(self):
        old, new = self.primary, self.random.choice(self.standbys())
        old.kill()
        new.command('failover', new.name, '--fenced')
        self.takes_writes(new)
        old.start(wait='answers')
        new.command('reinstate', old.name)
        wait_until(lambda: follows(old), f'{old.name} follows')

    def takes_writes(self, new):
        """OPEN-1: at once, when the command has returned; and it shows all that was acknowledged before."""
        self.primary = new
        new.query('insert into acts values (%s)', self.acts)
        self.acts += 1
        expect(new.value('select count(*) from acts') == self.acts, f'{new.name} shows all acts')

    def compact(self):
        self.primary.query('vacuum full')

    def act(self):
        self.random.choice((self.kill_primary, self.kill_standby, self.switchover, self.switchover,
                            self.failover, self.compact))()
        self.synchronized()


def chaos(place):
    o = Operator(place)
    folder = os.path.join(place.dir, 'backup')
    makers = [Maker(i, multi_host(o.all)) for i in range(3)]
    for m in makers:
        o.primary.query('insert into steps values (%s, 0)', m.number)
        m.start()

    def more():
        before = [m.made for m in makers]

        def reached():
            for m in makers:
                if m.failure is not None:
                    raise Failure(f'maker {m.number}: {m.failure!r}')
            return all(m.made >= b + 10 for m, b in zip(makers, before))
        wait_until(reached, 'all makers make progress')

    try:
        for i in range(ROUNDS):
            more()
            if i == ROUNDS // 2:
                o.primary.command('backup', '--to', folder)
            o.act()
        more()
    finally:
        for m in makers:
            m.ending = True
        for m in makers:
            m.join()
    for m in makers:
        expect(m.failure is None, f'maker {m.number}: {m.failure!r}')
        connection = o.primary.connect()
        m.settle(connection.cursor())
        connection.close()
    check(o, makers)
    restored(o, makers, folder)
    for n in o.standbys() + [o.primary]:
        n.stop()
    o.primary.start(wait='answers')
    for n in o.standbys():
        n.start(wait='answers')
    o.primary.wait_writable()
    check(o, makers)
    print(f'{sum(m.made for m in makers)} transactions with '
          f'{sum(len(m.tables) for m in makers)} tables left')


def show_the_same(n, makers):
    connection = n.connect()
    for m in makers:
        m.compare(n, connection.cursor())
    connection.close()


def check(o, makers):
    scn = o.primary.scn()
    for n in o.all:
        n.wait_scn(scn)
        show_the_same(n, makers)


def restored(o, makers, folder):
    """A backup of the middle and the redo since, over all roles that changed meanwhile."""
    r = o.place.node('R')
    r.command('restore', folder, '--to', r.dir, '--name', 'R', '--sql', f'127.0.0.1:{r.sql_port}',
              '--guard', r.guard(), '--scn', str(o.primary.scn()), '--at', o.primary.guard())
    r.start()
    show_the_same(r, makers)
    r.stop()


def main():
    with Place() as place:
        chaos(place)
    print('1 passed, 0 failed')


if __name__ == '__main__':
    main()
