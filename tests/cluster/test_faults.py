#!/usr/bin/python3
"""What a node's clients see when something breaks: killed while others wait, clients that vanish,
commits asked for twice, deadlocks, history that ends, redo that is damaged or gone.

SPDX-License-Identifier: Apache-2.0
"""
import os
import signal
import socket
import struct
import subprocess
import sys
import threading

import psycopg2

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from harness import Failure, Place, expect, wait_until  # noqa: E402
from wire import Wire  # noqa: E402


def refused(work, code):
    try:
        work()
    except psycopg2.Error as error:
        expect(error.pgcode == code, f'{error.pgcode} {error}, not {code}')
        return str(error)
    raise Failure(f'no error, not {code}')


def holder(node, text):
    """A connection in a transaction that has done this."""
    connection = node.connect()
    connection.autocommit = False
    connection.cursor().execute(text)
    return connection


class Waiter:
    """A statement on a connection of its own, in the background."""

    def __init__(self, node, text):
        self.node, self.text, self.error, self.done = node, text, None, False
        self.before = self.waits()
        self.thread = threading.Thread(target=self.run)
        self.thread.start()

    def waits(self):
        return self.node.value("select count(*) from pg_stat_activity where wait_event_type = 'Lock'")

    def run(self):
        try:
            self.node.query(self.text)
        except psycopg2.Error as error:
            self.error = error
        self.done = True

    def end(self):
        self.thread.join(60)
        expect(not self.thread.is_alive(), 'a statement waits for ever')
        return self.error


def a14_killed_while_others_wait(node):
    """The waiter is told, the row is nobody's afterwards, and what was not committed is not there."""
    node.query('create table held (a int primary key, b int)')
    node.query('insert into held values (1, 0)')
    connection = holder(node, 'update held set b = 1 where a = 1')
    waiter = Waiter(node, 'update held set b = b + 10 where a = 1')
    node.kill()
    expect(isinstance(waiter.end(), psycopg2.OperationalError), f'the waiter: {waiter.error}')
    connection.close()
    node.start()
    expect(node.value('select b from held where a = 1') == 0, 'nothing was committed')
    node.query('update held set b = 5 where a = 1')
    expect(node.value('select b from held') == 5, 'the row is free')


def a15_clients_vanish(node):
    """By a reset, by a kill, in silence: their transactions go, and their locks."""
    node.query('create table left_behind (a int primary key, b int)')
    node.query('insert into left_behind values (1, 0)')

    client = Wire(node.sql_port)
    client.query('begin')
    client.query('update left_behind set b = 1 where a = 1')
    client.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack('ii', 1, 0))
    client.close()  # RST
    node.query('update left_behind set b = b + 10 where a = 1')

    script = ('import sys; sys.path.insert(0, sys.argv[1]); from wire import Wire; '
              'w = Wire(int(sys.argv[2])); w.query("begin"); '
              'w.query("update left_behind set b = 1 where a = 1"); print("has it", flush=True); '
              'sys.stdin.read()')
    child = subprocess.Popen([sys.executable, '-c', script, os.path.dirname(os.path.abspath(__file__)),
                              str(node.sql_port)], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    expect(child.stdout.readline() == b'has it\n', 'the child holds the row')
    child.send_signal(signal.SIGKILL)
    child.wait()
    node.query('update left_behind set b = b + 10 where a = 1')

    silent = Wire(node.sql_port)
    silent.query("set idle_in_transaction_session_timeout = '300ms'")
    silent.query('begin')
    silent.query('update left_behind set b = 1 where a = 1')
    node.query('update left_behind set b = b + 10 where a = 1')  # waits for the timeout
    kind, body = silent.read()
    expect(kind == 'E' and b'25P03' in body, f'it is told why: {kind} {body}')
    silent.close()
    expect(node.value('select b from left_behind') == 30, 'none of theirs is there')


def a16_commit_is_asked_for_again(node):
    """After an unknown outcome a client that says COMMIT again is told that there is nothing to
    commit; the server repeats nothing by itself."""
    node.query('create table once (a int)')
    connection = holder(node, 'insert into once values (1)')
    node.kill()
    refused(lambda: connection.commit(), None)
    node.start()
    done = node.client('psql', '-X', '-A', '-t', '-c', 'commit')
    expect('there is no transaction in progress' in done.stderr, done.stderr)
    expect(node.value('select count(*) from once') == 0, 'nothing is played again')
    node.query('insert into once values (1)')
    node.client('psql', '-X', '-A', '-t', '-c', 'commit', '-c', 'commit')
    expect(node.value('select count(*) from once') == 1, 'nor twice')


def f10_deadlocks(node):
    """One of a circle of three is refused with 40P01, and the others go on."""
    node.query('create table ring (a int primary key, b int)')
    node.query('insert into ring values (0, 0), (1, 0), (2, 0)')
    connections = [holder(node, f'update ring set b = b + 1 where a = {i}') for i in range(3)]
    errors = [None] * 3

    def step(i):
        try:
            connections[i].cursor().execute(f'update ring set b = b + 1 where a = {(i + 1) % 3}')
            connections[i].commit()
        except psycopg2.Error as error:
            errors[i] = error.pgcode
            connections[i].rollback()
    threads = [threading.Thread(target=step, args=(i,)) for i in range(3)]
    for t in threads:
        t.start()
    for t in threads:
        t.join(60)
        expect(not t.is_alive(), 'somebody waits for ever')
    for c in connections:
        c.close()
    expect(sorted(errors, key=str) == ['40P01', None, None], f'one victim: {errors}')
    expect(node.value('select sum(b) from ring') == 4, 'the others are whole')


def e10_history_ends(node):
    """AS OF a moment that is too old is refused by name, never answered from what is left."""
    node.query('create table past (a int primary key, b int)')
    node.query('insert into past values (1, 1)')
    scn = node.scn()
    moment = node.value('select clock_timestamp()')

    def too_old():
        node.query('update past set b = b + 1 where a = 1')
        try:
            expect(node.value(f'select b from past as of scn {scn}') == 1, 'the past has changed')
            return False
        except psycopg2.Error as error:
            expect(error.pgcode == '72000' and 'snapshot too old' in str(error), str(error))
            return True
    wait_until(too_old, 'the moment is too old')
    text = refused(lambda: node.query(f"select b from past as of timestamp '{moment}'"), '72000')
    expect('snapshot too old' in text, text)
    expect(node.value('select b from past') > 1, 'the present is there')


# ---- redo ----------------------------------------------------------------------------------------

def redo_files(node):
    folder = os.path.join(node.dir, 'redo')
    names = sorted(n for n in os.listdir(folder) if n.startswith('redo-'))
    return [os.path.join(folder, n) for n in names]


def does_not_start(node, *words):
    """Ends by itself, non-zero, and its last words have these."""
    node.start(wait=False)
    code = node.process.wait(timeout=60)
    node.process = None
    with open(node.dir + '.log') as f:
        said = f.read()
    expect(code != 0, 'it must not start')
    for word in words:
        expect(word in said, f'"{word}" is not said:\n{said[-2000:]}')


def b4_b17_redo_is_damaged_or_gone(node):
    """Corruption in the middle is named with file and place, and nothing is cut; a file that is gone
    is named; with both mended, all is there."""
    node.query('create table kept (a int primary key, b text)')
    for i in range(40):
        node.query(f"insert into kept values ({i}, repeat('x', 500))")
    node.kill()
    path = redo_files(node)[-1]
    with open(path, 'rb') as f:
        whole = f.read()
    at = whole.index(b'RDLW', 16 << 10) + 100  # in a frame with others behind it
    damaged = bytearray(whole)
    damaged[at] ^= 0x10
    with open(path, 'r+b') as f:
        f.write(damaged)
    does_not_start(node, os.path.basename(path), f'offset {at // 4096 * 4096}')
    with open(path, 'rb') as f:
        expect(f.read() == damaged, 'the file is left as it is')
    os.rename(path, path + '.away')
    does_not_start(node, os.path.basename(path).split('-')[1])
    os.unlink(path + '.away')
    with open(path, 'wb') as f:
        f.write(whole)
    node.start()
    expect(node.value('select count(*) from kept') == 40, 'all is there')


def b3_a_torn_tail_is_cut(node):
    """What a power cut tore was told to nobody: the node opens without it."""
    node.query('create table torn (a int primary key)')
    node.query('insert into torn values (1)')
    node.kill()
    path = redo_files(node)[-1]
    with open(path, 'rb') as f:
        whole = f.read()
    end = (len(whole.rstrip(b'\0')) + 4095) // 4096 * 4096
    last = whole.rindex(b'RDLW', 0, end) // 4096 * 4096
    with open(path, 'r+b') as f:  # as if half of one more write had arrived, made of old bytes
        f.seek(end)
        f.write(whole[last:last + 600])
    node.start()
    expect(node.value('select a from torn') == 1, 'what was told is there')
    node.query('insert into torn values (2)')


def main():
    tests = [a14_killed_while_others_wait, a15_clients_vanish, a16_commit_is_asked_for_again,
             f10_deadlocks, e10_history_ends, b3_a_torn_tail_is_cut,
             b4_b17_redo_is_damaged_or_gone]
    with Place(keep='KEEP' in os.environ) as place:
        node = place.node('A')
        node.init()
        node.configure(retention__time='3s')
        node.start()
        for test in tests:
            test(node)
            print(f'{test.__name__}: ok', flush=True)
        node.stop()
    print(f'{len(tests)} passed, 0 failed')


if __name__ == '__main__':
    main()
