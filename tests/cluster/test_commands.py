#!/usr/bin/python3
"""The command line as an operator uses it: what is refused, in which words, with which exit code;
what status says of members that are there, behind, or gone; backups from a standby.

SPDX-License-Identifier: Apache-2.0
"""
import fcntl
import json
import os
import pty
import re
import shutil
import signal
import socket
import subprocess
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from harness import BIN, Failure, Place, expect, follows, free_ports, wait_until  # noqa: E402

COMMANDS = ('init start stop join status protect switchover failover reinstate branches drop backup '
            'restore dump').split()


def run(*words, env=None):
    clean = {k: v for k, v in os.environ.items() if not k.startswith('REDOUBT_')}
    return subprocess.run([os.path.join(BIN, 'redoubt'), *words], capture_output=True, text=True,
                          env=dict(clean, **(env or {})))


def refused(done, *parts, code=1):
    """It failed with that exit code, and its words say what an operator has to know."""
    expect(done.returncode == code, f'exit code {done.returncode}, not {code}: {done}')
    for part in parts:
        expect(part in done.stderr, f'"{part}" is not in: {done.stderr}')


def every_command_helps():
    for command in COMMANDS:
        done = run(command, '--help')
        expect(done.returncode == 0 and 'Example' in done.stdout and not done.stderr, done)
        expect(f'redoubt {command}' in done.stdout.split('Example')[1], f'an example: {done.stdout}')
        refused(run(command, '--nonsense'), '--nonsense', 'Usage', code=2)
    refused(run('nonsense'), 'nonsense', code=2)
    refused(run(), 'Usage', code=2)
    expect(run('--help').returncode == 0, 'redoubt --help')


def init_leaves_nothing_half_done(place):
    path = os.path.join(place.dir, 'x')
    for name in ('A B', '1A', '', 'x' * 32):
        refused(run('init', path, '--name', name), '--name', code=2)
    refused(run('init', path), '--name', code=2)
    refused(run('init', path, '--name', 'yes', '--name', 'b'), '--name is given twice', code=2)
    refused(run('status', '--json=1'), '--json takes no value', code=2)
    refused(run('init', path, '--name', 'A', '--sql', 'nowhere'), '--sql', 'HOST:PORT', code=2)
    expect(not os.path.exists(path), 'nothing was made')
    os.mkdir(path)
    open(os.path.join(path, 'precious'), 'w').close()
    refused(run('init', path, '--name', 'A'), 'precious', 'not empty')
    shutil.rmtree(path)
    refused(run('init', path, '--name', 'A', '--sql', '127.0.0.1:7433'), '--guard', code=2)
    expect(not os.path.exists(path), 'nothing was made')
    deep = os.path.join(path, 'in', 'new')
    expect(run('init', deep, '--name', 'A').returncode == 0, 'it makes the folders above')
    shutil.rmtree(path)


def asks_for_passwords(place):
    """SRV-11, from the first start on."""
    path = os.path.join(place.dir, 'open')
    sql, guard = free_ports(2)
    expect(run('init', path, '--name', 'A', '--sql', f'0.0.0.0:{sql}',
               '--guard', f'127.0.0.1:{guard}').returncode == 0, 'it is made')
    refused(run('start', path), f'0.0.0.0:{sql}', 'no password')
    shutil.rmtree(path)


def start_says_why_not(place, a):
    for port in (a.sql_port, a.guard_port):
        with socket.socket() as taken:
            taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            taken.bind(('127.0.0.1', port))
            taken.listen()
            refused(run('start', a.dir), f'127.0.0.1:{port}', 'in use')
    key = os.path.join(a.dir, 'cluster.key')
    expect(os.stat(key).st_mode & 0o777 == 0o600, 'cluster.key has mode 0600')
    os.chmod(key, 0o640)
    refused(run('start', a.dir), 'cluster.key', 'chmod 600')
    refused(run('status', '--key', a.dir), 'cluster.key', 'chmod 600')
    os.chmod(key, 0o600)
    conf = os.path.join(a.dir, 'redoubt.yaml')
    with open(conf) as f:
        whole = f.read()
    lines = whole.count('\n')
    for bad, part in (('sql.workers: many', 'expected a number'), ('sqll.workers: 1', 'sql.workers')):
        with open(conf, 'w') as f:
            f.write(f'{whole}{bad}\n')
        refused(run('start', a.dir), f'redoubt.yaml:{lines + 1}:', part)
    with open(conf, 'w') as f:
        f.write(whole)
    refused(run('start', os.path.join(place.dir, 'nowhere')), 'nowhere')


def runs_once_and_stops(a):
    expect(run('start', a.dir).returncode == 0, 'it starts')
    refused(run('start', a.dir), 'runs already')
    second = subprocess.run([os.path.join(BIN, 'redoubtd'), a.dir], capture_output=True, text=True)
    expect(second.returncode == 1 and 'lock' in second.stderr, 'a second one on the same folder')
    pid = int(open(os.path.join(a.dir, 'redoubtd.pid')).read())
    os.kill(pid, signal.SIGSTOP)
    master, slave = pty.openpty()  # progress is shown on a terminal after two seconds
    stopping = subprocess.Popen([os.path.join(BIN, 'redoubt'), 'stop', a.dir], stdout=slave,
                                stderr=slave)
    shown = b''
    while b'stopping' not in shown:
        shown += os.read(master, 1024)
    os.kill(pid, signal.SIGCONT)
    expect(stopping.wait() == 0, 'it stops once it goes on')
    os.close(slave)
    os.close(master)
    expect(not os.path.exists(os.path.join(a.dir, 'redoubtd.pid')), 'its number is gone')
    expect('does not run' in run('stop', a.dir).stdout, 'stopping twice is no error')


def keys_and_addresses(place, a):
    at = {'REDOUBT_AT': a.guard()}
    refused(run('status', env=at), '--key', 'REDOUBT_KEY', code=2)
    expect(run('status', '--key', a.dir, env=at).returncode == 0, 'a DIR names its key')
    expect(run('status', '--at', a.guard(), env={'REDOUBT_KEY': a.dir}).returncode == 0, 'both ways')
    wrong = os.path.join(place.dir, 'wrong.key')
    with open(wrong, 'w', opener=lambda p, f: os.open(p, f, 0o600)) as f:
        f.write('7' * 64 + '\n')
    refused(run('status', '--key', wrong, env=at), 'wrong.key')
    refused(run('status', '--at', 'nowhere', '--key', a.dir), 'HOST:PORT', code=2)
    refused(run('status', '--at', f'127.0.0.1:{free_ports(1)[0]}', '--key', a.dir), 'refused')
    refused(run('status', '--at', f'127.0.0.1:{a.sql_port}', '--key', a.dir), 'guard')


def protect_forms(a):
    for sync in ('', 'B', 'ANY', 'ANY 1', 'ANY 1 B', 'ANY 0 (B)', 'ANY 1 ()', 'ANY 1 (B) x', '2 (B)'):
        refused(a.command('protect', 'availability', '--sync', sync, check=False), 'ANY k', code=2)
    for sync, part in (('ANY 1 (Z)', '"Z"'), ('ANY 1 (A)', '"A" is the primary'),
                       ('ANY 1 (B, B)', '"B" is on the list twice')):
        refused(a.command('protect', 'availability', '--sync', sync, check=False), part)
    refused(a.command('protect', 'availability', '--sync', 'ANY 2 (B)', check=False), '2 of a list',
            code=2)
    refused(a.command('protect', 'availability', check=False), '--sync')
    refused(a.command('protect', 'protection', check=False), 'protection')
    a.command('protect', 'availability', '--sync', 'any 1(B)')
    wait_until(lambda: a.status()['synchronized'], 'synchronized')
    a.command('protect', 'availability')
    told = a.status()
    expect(told['mode'] == told['level'] == 'maximum availability', told)
    expect(told['member']['B']['listed'], 'the list is kept')
    refused(a.command('protect', 'performance', '--sync', 'ANY 1 (B)', check=False), '--sync')


def stops_nobody_else(a, b):
    """B was killed, and its number is A's by now; something that has not said its own is at work."""
    shutil.copy(os.path.join(a.dir, 'redoubtd.pid'), b.dir)
    expect('does not run' in run('stop', b.dir).stdout, 'B does not run')
    with open(os.path.join(b.dir, 'lock')) as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        refused(run('stop', b.dir), 'its process is not known')
    expect(a.value('select 1') == 1, 'A goes on')


def status_of_the_lost(a, b):
    """Mode and level apart; figures with their age, and none invented."""
    ages = [a.status()['member']['B']['age_us']]

    def said_again():
        ages.append(a.status()['member']['B']['age_us'])
        return ages[-1] < ages[-2]

    wait_until(said_again, 'B acknowledges without news, too')
    b.kill()
    wait_until(lambda: a.status()['level'] == 'resynchronization', 'the level falls')
    told = a.status()
    expect(told['mode'] == 'maximum availability' and not told['synchronized'], told)
    m = told['member']['B']
    expect(not m['answers'] and not m['connected'] and m['age_us'] > 0, m)
    expect(m['transport_lag_bytes'] is not None, 'it was heard of')
    text = a.command('status').stdout
    expect('does not answer' in text and '(level: resynchronization)' in text, text)
    level = a.query('select protection_mode, protection_level from v$database')[0]
    expect(level == ('MAXIMUM AVAILABILITY', 'RESYNCHRONIZATION'), level)
    a.stop()
    started = run('start', a.dir)  # FO-51: it asks the list, and says so
    expect(started.returncode == 0 and 'waits for answers' in started.stdout, started)
    expect('waits for answers' in a.command('status').stdout, 'status says so too')
    a.command('failover', 'A', '--fenced')
    m = a.status()['member']['B']
    expect(m['transport_lag_bytes'] is None and m['age_us'] is None, f'unknown since the start: {m}')
    expect('UNKNOWN' in a.command('status').stdout, 'in words')
    refused(a.command('switchover', 'B', check=False), '"B"')
    refused(a.command('failover', 'B', '--fenced', check=False), b.guard())
    refused(b.command('status', check=False), b.guard())
    stops_nobody_else(a, b)
    b.start(wait='answers')
    wait_until(lambda: a.status()['synchronized'], 'synchronized')
    expect(b.status()['member']['B']['linked'], 'B has its primary')
    expect(run('stop', a.dir).returncode == 0, 'it ends')
    wait_until(lambda: not b.status()['member']['B']['linked'], 'B has lost it')
    expect('no primary reached' in b.command('status').stdout, 'and says so')
    expect({row[0] for row in b.query('select state from v$dataguard_stats')} == {'ABSENT'},
           'in SQL, too')
    a.start()
    wait_until(lambda: a.status()['synchronized'], 'synchronized')


def roles_refused(a, b):
    refused(a.command('switchover', 'A', check=False), 'primary already')
    refused(a.command('failover', 'A', check=False), 'primary already')
    refused(a.command('failover', 'B', check=False), 'the primary, A, is alive')
    refused(a.command('reinstate', 'A', check=False), 'primary')
    refused(a.command('drop', 'A', check=False), 'primary')
    refused(a.command('drop', 'B', check=False), 'list')
    for words in (('switchover', 'Z'), ('failover', 'Z'), ('reinstate', 'Z'), ('drop', 'Z')):
        refused(a.command(*words, check=False), '"Z"')
    refused(a.command('join', os.path.join(a.place.dir, 'y'), '--name', 'B', '--from', a.guard(),
                      check=False), '"B"')
    expect(not os.path.exists(os.path.join(a.place.dir, 'y', 'redoubt.yaml')), 'no second B')


def roles_under_way(a, b):
    """A command that comes while roles change waits for a primary, or is told of the change."""
    for old, new in ((a, b), (b, a), (a, b), (b, a)):
        wait_until(lambda: old.status()['synchronized'], 'synchronized')
        with subprocess.Popen([os.path.join(BIN, 'redoubt'), 'switchover', new.name,
                               '--at', old.guard(), '--key', old.dir],
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as moving:
            done = new.command('protect', 'availability', check=False)
            told, why = moving.communicate()
        expect(done.returncode == 0 or 'under way' in done.stderr, done.stderr)
        if moving.returncode != 0:
            expect('under way' in why and done.returncode == 0, f'{why}; {done}')
            told = new.command('switchover', new.name).stdout
        expect(f'{new.name} is primary of' in told, told)
        expect(new.status()['synchronized'] or 'not synchronized yet' in told,
               'it ends when the next one can begin, or says so')


def dumps(a, b):
    for sub, part in (('redo', 'frame'), ('segments', 'version'), ('', 'edit')):
        folder = os.path.join(b.dir, sub)
        name = 'manifest' if sub == '' else sorted(
            f for f in os.listdir(folder) if f.startswith('redo-') or f.endswith('.seg'))[0]
        done = run('dump', os.path.join(folder, name))
        expect(done.returncode == 0 and part in done.stdout, f'{name}: {done}')
        bad = os.path.join(a.place.dir, name)
        with open(os.path.join(folder, name), 'rb') as f:
            bytes_ = bytearray(f.read())
        bytes_[100 if name.endswith('.seg') else 8200] ^= 0xff
        with open(bad, 'wb') as f:
            f.write(bytes_)
        done = run('dump', bad)
        if not name.startswith('redo-'):  # there it is where the log may end
            refused(done, name)
        expect(done.returncode in (0, 1), 'a damaged file is no crash')
    refused(run('dump', os.path.join(a.dir, 'nothing')), 'nothing')


def backup_from_a_standby(place, a, b):
    """Backups are taken where nobody minds; what is restored is another configuration."""
    a.query('create table t (a int primary key)')
    a.query('insert into t select g from generate_series(1, 1000) g')
    scn = a.scn()
    b.wait_scn(scn)
    folder = os.path.join(place.dir, 'backup')
    b.command('backup', '--to', folder, '--at', b.guard())
    refused(b.command('backup', '--to', folder, check=False), folder)
    expect('cluster.key' not in os.listdir(folder), 'no key in a backup')
    a.query('delete from t')
    a.query('insert into t values (0)')
    b.wait_scn(a.scn())
    d = place.node('D')
    d.command('restore', folder, '--to', d.dir, '--name', 'D', '--sql', f'127.0.0.1:{d.sql_port}',
              '--guard', d.guard(), '--scn', str(scn), '--at', b.guard())
    for words, part in (((), '--name'), (('--name', 'D'), 'is there already'),
                        (('--name', 'D', '--scn', '1', '--time', 'now'), '--time'),
                        (('--name', 'D', '--scn', '-1'), '--scn'),
                        (('--name', 'D', '--time', 'yesterday'), '--time')):
        done = a.command('restore', folder, '--to', d.dir, *words, check=False)
        expect(done.returncode != 0 and part in done.stderr, done)
    d.start()
    expect(d.value('select count(*) from t') == 1000, 'the moment that was asked for')
    ids = [n.value('select dbid from v$database') for n in (a, d)]
    expect(ids[0] != ids[1], 'a database id of its own')
    told = run('status', '--json', '--at', d.guard(), '--key', d.dir)
    expect(int(json.loads(told.stdout)['parent'], 16) == ids[0] % 2**64, f'its parent: {told}')
    told = run('status', '--at', d.guard(), '--key', d.dir)
    expect(f'SCN {scn}' in told.stdout and 'Restored from' in told.stdout, told)
    marks = [r[0] for r in d.query('select status from v$incarnation order by incarnation')]
    expect(marks[-1] == 'CURRENT' and 'PARENT' in marks, f'v$incarnation goes back: {marks}')
    e = place.node('E')  # the restored node is the first of a configuration of its own
    env = {'REDOUBT_KEY': os.path.join(d.dir, 'cluster.key')}
    done = run('join', e.dir, '--name', 'E', '--from', d.guard(), '--sql', f'127.0.0.1:{e.sql_port}',
               '--guard', e.guard(), env=env)
    expect(done.returncode == 0, done)
    e.start(wait='answers')
    e.wait_scn(d.scn())
    expect(e.value('select count(*) from t') == 1000, 'its standby')
    e.stop()
    d.stop()


def times_and_zones(place, a):
    folder = os.path.join(place.dir, 'zones')
    a.query('insert into t values (1)')
    a.command('backup', '--to', folder)
    a.query('insert into t values (2)')
    moment = a.moment()
    a.query('insert into t values (3)')
    for i, (form, shift) in enumerate((('%Y-%m-%d %H:%M:%S{}Z', 0), ('%Y-%m-%dT%H:%M:%S{}+02:00', 7200),
                                       ('%Y-%m-%d %H:%M:%S{} -0330', -12600))):
        text = time.strftime(form, time.gmtime(int(moment) + shift))
        text = text.format(f'{moment % 1:.6f}'[1:])
        d = place.node(f'T{i}')
        made = d.command('restore', folder, '--to', d.dir, '--name', d.name, '--sql',
                         f'127.0.0.1:{d.sql_port}', '--guard', d.guard(), '--time', text, '--at',
                         a.guard())
        d.start()
        expect(sorted(r[0] for r in d.query('select a from t')) == [0, 1, 2], f'as of {text}')
        told = run('status', '--at', d.guard(), '--key', d.dir).stdout
        scn = re.match(r'Restored SCN (\d+) of', made.stdout).group(1)
        expect(f'SCN {scn}.' in told, f'the SCN {scn} that it was restored to: {told}')
        d.stop()
    d = place.node('F')
    for text in ('2200-01-01 00:00:00Z', '2000-01-01 00:00:00Z'):
        done = d.command('restore', folder, '--to', d.dir, '--name', 'F', '--time', text, '--at',
                         a.guard(), check=False)
        expect(done.returncode == 1, f'{text} cannot be reached')
        expect(re.search(r'\d{4}-\d\d-\d\d \d\d:\d\d:\d\dZ to \d{4}-', done.stderr),
               f'it says from when to when: {done.stderr}')
        expect(not os.path.exists(d.dir), f'refused before anything is written: {done.stderr}')


def main():
    every_command_helps()
    with Place(keep='KEEP' in os.environ) as place:
        init_leaves_nothing_half_done(place)
        asks_for_passwords(place)
        a, b = place.node('A'), place.node('B')
        a.init()
        start_says_why_not(place, a)
        runs_once_and_stops(a)
        a.start()
        keys_and_addresses(place, a)
        b.join(a)
        b.start(wait='answers')
        wait_until(lambda: follows(b), 'B follows')
        for test, args in ((protect_forms, (a,)), (status_of_the_lost, (a, b)), (roles_refused, (a, b)),
                           (roles_under_way, (a, b)),
                           (dumps, (a, b)), (backup_from_a_standby, (place, a, b)),
                           (times_and_zones, (place, a))):
            test(*args)
            print(f'{test.__name__}: ok', flush=True)
    print('13 passed, 0 failed')


if __name__ == '__main__':
    main()
