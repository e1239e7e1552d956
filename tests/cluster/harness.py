"""Real nodes for tests and for the demonstration: data directories of their own, ports of their own,
gone when the block ends.

    with Place() as place:
        a = place.node("A")
        a.init(); a.start()
        a.query("select 1")

Python 3 and psycopg2 from Debian; SPDX-License-Identifier: Apache-2.0
"""
import contextlib
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import time

import psycopg2

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BIN = os.environ.get('REDOUBT_BIN', os.path.join(TOP, 'bin'))


class Failure(Exception):
    """What was promised did not hold."""


def expect(condition, text):
    if not condition:
        raise Failure(text)


def wait_until(condition, text, seconds=60):
    """Waits on a condition, never for a time."""
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            raise Failure(f'after {seconds} s still not: {text}')
        time.sleep(0.02)


def free_ports(count):
    socks = [socket.socket() for _ in range(count)]
    try:
        for s in socks:
            s.bind(('127.0.0.1', 0))
        return [s.getsockname()[1] for s in socks]
    finally:
        for s in socks:
            s.close()


class Place:
    """A temporary folder with nodes in it."""

    def __init__(self, keep=False):
        self.keep = keep
        self.nodes = []
        self.first = None  # whose key the commands use

    def __enter__(self):
        self.dir = tempfile.mkdtemp(prefix='redoubt-')
        return self

    def __exit__(self, kind, error, trace):
        for node in self.nodes:
            node.destroy()
        if kind is not None:
            for node in self.nodes:
                node.show_log()
        if self.keep:
            print(f'kept: {self.dir}')
        else:
            shutil.rmtree(self.dir, ignore_errors=True)

    def node(self, name):
        node = Node(self, name, os.path.join(self.dir, name))
        self.first = self.first or node
        self.nodes.append(node)
        return node


class Node:
    def __init__(self, place, name, directory):
        self.place, self.name, self.dir = place, name, directory
        self.sql_port, self.guard_port = free_ports(2)
        self.process = None

    # ---- the program -------------------------------------------------------------------------

    def command(self, *words, check=True):
        env = dict(os.environ, REDOUBT_AT=self.guard(),
                   REDOUBT_KEY=os.path.join(self.place.first.dir, 'cluster.key'))
        done = subprocess.run([os.path.join(BIN, 'redoubt'), *words], capture_output=True, text=True,
                              env=env)
        if check and done.returncode != 0:
            raise Failure(f'redoubt {" ".join(words)}: {done.stderr.strip()}')
        return done

    def guard(self):
        return f'127.0.0.1:{self.guard_port}'

    def join(self, other):
        """Becomes a standby of the configuration that `other` belongs to."""
        self.command('join', self.dir, '--name', self.name, '--from', other.guard(),
                     '--sql', f'127.0.0.1:{self.sql_port}', '--guard', self.guard())

    def status(self):
        """What this node answers to redoubt status, by member."""
        told = json.loads(self.command('status', '--json').stdout)
        told['member'] = {m['name']: m for m in told['members']}
        return told

    def init(self):
        self.command('init', self.dir, '--name', self.name,
                     '--sql', f'127.0.0.1:{self.sql_port}',
                     '--guard', f'127.0.0.1:{self.guard_port}')

    def configure(self, **keys):
        """Lines at the end of redoubt.yaml: redo__keep='64MB' is redo.keep."""
        with open(os.path.join(self.dir, 'redoubt.yaml'), 'a') as f:
            for key, value in keys.items():
                f.write(f"{key.replace('__', '.')}: {value}\n")

    def log(self):
        with open(self.dir + '.log', errors='replace') as f:
            return f.read()

    def start(self, wait=True):
        log = open(self.dir + '.log', 'ab')
        self.process = subprocess.Popen([os.path.join(BIN, 'redoubtd'), self.dir],
                                        stdout=log, stderr=log)
        log.close()
        if wait:
            self.wait_writable() if wait is True else self.wait_answers()

    def wait_writable(self):
        def writable():
            expect(self.process.poll() is None, f'{self.name} ended by itself')
            try:
                return self.value('show transaction_read_only') == 'off'
            except psycopg2.Error:
                return False
        wait_until(writable, f'{self.name} takes writes')

    def wait_answers(self):
        def answers():
            expect(self.process.poll() is None, f'{self.name} ended by itself')
            try:
                return self.value('select 1') == 1
            except psycopg2.Error:
                return False
        wait_until(answers, f'{self.name} answers')

    def wait_scn(self, scn):
        """Until what was committed at `scn` is seen here."""
        wait_until(lambda: self.value('select current_scn from v$database') >= scn,
                   f'{self.name} shows SCN {scn}')

    def scn(self):
        return self.value('select current_scn from v$database')

    def moment(self):
        """A time, in whole milliseconds, after all commits so far and before all that come."""
        moment = int(time.time() * 1000 + 2) / 1000
        wait_until(lambda: time.time() > moment + 0.001, 'the clock has passed the moment')
        return moment

    def kill(self):
        """kill -9."""
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()
        self.process = None

    def stop(self):
        self.process.terminate()
        code = self.process.wait(timeout=120)
        self.process = None
        expect(code == 0, f'{self.name} ended with {code}')

    def destroy(self):
        if self.process is not None:
            self.process.kill()
            self.process.wait()

    def show_log(self):
        path = self.dir + '.log'
        if os.path.exists(path):
            with open(path, errors='replace') as f:
                print(f'--- last lines of {self.name}:\n' + ''.join(f.readlines()[-25:]))

    # ---- clients ------------------------------------------------------------------------------

    def dsn(self):
        return f'host=127.0.0.1 port={self.sql_port} user=redoubt dbname=redoubt'

    def connect(self):
        connection = psycopg2.connect(self.dsn(), connect_timeout=5)
        connection.autocommit = True
        return connection

    def query(self, text, *args):
        connection = self.connect()
        try:
            cursor = connection.cursor()
            cursor.execute(text, args or None)
            return cursor.fetchall() if cursor.description else cursor.rowcount
        finally:
            connection.close()

    def value(self, text, *args):
        return self.query(text, *args)[0][0]

    def client_env(self):
        return dict(os.environ, PGHOST='127.0.0.1', PGPORT=str(self.sql_port), PGUSER='redoubt',
                    PGDATABASE='redoubt')

    def client(self, program, *words, check=True, stdin=None):
        done = subprocess.run([program, *words], env=self.client_env(), capture_output=True,
                              text=True, input=stdin)
        if check and done.returncode != 0:
            raise Failure(f'{program} {" ".join(words)}:\n{done.stdout}{done.stderr}')
        return done

    def psql(self, text, check=True):
        return self.client('psql', '-X', '-A', '-t', '-v', 'ON_ERROR_STOP=1', '-c', text,
                           check=check).stdout.strip()

    def pgbench(self, *words, check=True):
        return self.client('pgbench', *words, check=check)

    @contextlib.contextmanager
    def load(self, *words):
        """pgbench runs while the block does, or until the node dies; nobody asks how it ended."""
        process = subprocess.Popen(['pgbench', '-n', '-T', '3600', *words], env=self.client_env(),
                                   stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            yield
        finally:
            process.kill()
            process.wait()


def run_on_one_node(tests):
    """Each test in turn, on the same node."""
    with Place() as place:
        node = place.node('A')
        node.init()
        node.start()
        for test in tests:
            print(test.__name__, flush=True)
            test(node)
        node.stop()
    print(f'{len(tests)} passed, 0 failed')


def pgbench_rate(done):
    found = re.search(r'tps = ([0-9.]+)', done.stdout)
    expect(found, f'pgbench said no rate:\n{done.stdout}{done.stderr}')
    return float(found.group(1))


class Ledger:
    """Clients that insert numbers one by one and remember which ones they were told of. Whoever
    compares afterwards knows what must be there (told) and what may be (asked)."""

    def __init__(self, dsn, clients=4):
        self.dsn, self.clients = dsn, clients
        self.told, self.asked = set(), set()
        self.lock = threading.Lock()
        self.next = 0
        self.ending = False
        self.threads = []

    def start(self):
        self.ending = False
        self.threads = [threading.Thread(target=self.run) for _ in range(self.clients)]
        for t in self.threads:
            t.start()

    def stop(self):
        self.ending = True
        for t in self.threads:
            t.join()

    def number(self):
        with self.lock:
            self.next += 1
            self.asked.add(self.next)
            return self.next

    def run(self):
        while not self.ending:
            try:
                connection = psycopg2.connect(self.dsn, connect_timeout=5)
                connection.autocommit = True
                cursor = connection.cursor()
                while not self.ending:
                    n = self.number()
                    cursor.execute('insert into ledger values (%s)', (n,))
                    with self.lock:
                        self.told.add(n)
                connection.close()
            except psycopg2.Error:
                time.sleep(0.01)

    def compare(self, rows):
        there = {r[0] for r in rows}
        lost, invented = self.told - there, there - self.asked
        expect(not lost, f'{len(lost)} acknowledged commits are lost, such as {sorted(lost)[:5]}')
        expect(not invented, f'rows nobody wrote: {sorted(invented)[:5]}')
        return len(self.told)


def multi_host(nodes):
    """A connection string that finds whoever is the primary."""
    return ('host=' + ','.join('127.0.0.1' for _ in nodes) +
            ' port=' + ','.join(str(n.sql_port) for n in nodes) +
            ' user=redoubt dbname=redoubt target_session_attrs=read-write')


def follows(node, incarnation=None):
    """The node follows, in that incarnation or a later one."""
    try:
        m = node.status()['member'][node.name]
    except Failure:  # it is starting
        return False
    return (m['answers'] and m['role'] == 'standby' and m['follow'] == 'live' and
            int(m['incarnation']) >= (incarnation or 0))


def bank_consistent(node):
    """TPC-B: branches, tellers, accounts and history add up to the same."""
    sums = [node.value(f'select coalesce(sum({column}), 0) from {table}') for table, column in (
        ('pgbench_branches', 'bbalance'), ('pgbench_tellers', 'tbalance'),
        ('pgbench_accounts', 'abalance'), ('pgbench_history', 'delta'))]
    expect(len(set(sums)) == 1, f'the sums of pgbench differ: {sums}')
    return sums[0]
