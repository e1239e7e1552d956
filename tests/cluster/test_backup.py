#!/usr/bin/python3
"""Backup while clients write, and restore to a moment, with redo from a live member or a folder.

SPDX-License-Identifier: Apache-2.0
"""
import os
import re
import resource
import shutil
import signal
import subprocess
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from harness import BIN, Ledger, Place, bank_consistent, expect, wait_until  # noqa: E402


def ledger_of(node):
    return {r[0] for r in node.query('select n from ledger')}


def restore(place, name, folder, *words, check=True):
    d = place.node(name)
    done = d.command('restore', folder, '--to', d.dir, '--name', name, '--sql',
                     f'127.0.0.1:{d.sql_port}', '--guard', d.guard(), *words, check=check)
    return d, done


def is_at(d, rows, bank):
    """BACKUP-4: a database of its own, at exactly that moment, and it takes writes."""
    d.start()
    there = ledger_of(d)
    expect(there == rows, f'{len(rows - there)} rows lack, {len(there - rows)} are too many')
    expect(bank_consistent(d) == bank, 'the bank is what it was')
    d.query('insert into ledger values (-1)')
    expect(d.value('select count(*) from ledger where n = -1') == 1, 'it takes writes')
    d.kill()
    d.start()
    expect(ledger_of(d) == rows | {-1}, 'and keeps them')
    d.stop()


def is_interrupted(place, a):
    """E3: a backup that was killed in the middle is no backup: nothing is made of it, and whoever
    begins again elsewhere has one."""
    folder = os.path.join(place.dir, 'killed')
    env = dict(os.environ, REDOUBT_AT=a.guard(), REDOUBT_KEY=os.path.join(a.dir, 'cluster.key'))
    child = subprocess.Popen([os.path.join(BIN, 'redoubt'), 'backup', '--to', folder], env=env,
                             stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    wait_until(lambda: os.path.exists(folder) and os.listdir(folder), 'the backup has begun')
    child.send_signal(signal.SIGKILL)
    child.wait()
    whole = os.path.join(folder, 'backup')
    if os.path.exists(whole):  # it was faster: as if it had been killed just before its last step
        os.unlink(whole)
    d, done = restore(place, 'I', folder, check=False)
    expect(done.returncode != 0 and not os.path.exists(d.dir), f'E3: {done.stderr}')
    a.command('backup', '--to', folder + '-again')


def stopped_meanwhile(place, a):
    """A node that is stopped while a backup is taken of it ends cleanly, and the backup with an error."""
    env = dict(os.environ, REDOUBT_AT=a.guard(), REDOUBT_KEY=os.path.join(a.dir, 'cluster.key'))
    for i in range(5):
        folder = os.path.join(place.dir, f'stopped-{i}')
        child = subprocess.Popen([os.path.join(BIN, 'redoubt'), 'backup', '--to', folder], env=env,
                                 stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        wait_until(lambda: os.path.exists(folder), 'the backup has begun')
        a.stop()
        whole = child.wait(timeout=60) == 0
        expect(whole == os.path.exists(os.path.join(folder, 'backup')), 'it is whole or an error')
        a.start()


def without_room(place, a):
    """No redo file can be made where the backup goes: it says so and ends, and is no backup."""
    folder = os.path.join(place.dir, 'no-room')
    env = dict(os.environ, REDOUBT_AT=a.guard(), REDOUBT_KEY=os.path.join(a.dir, 'cluster.key'))
    done = subprocess.run(
        [os.path.join(BIN, 'redoubt'), 'backup', '--to', folder], env=env, capture_output=True,
        text=True, timeout=60, restore_signals=False,  # SIGXFSZ stays ignored
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (8 << 20, 8 << 20)))
    expect(done.returncode != 0 and 'no redo file can be made' in done.stderr, f'{done}')
    expect(not os.path.exists(os.path.join(folder, 'backup')), 'and is no backup')


def in_the_first_second(place):
    """TXNE-10: a time between two commits of a database that is younger than the step in which times
    are stored."""
    n = place.node('N')
    n.init()
    n.start()
    n.query('create table ledger (n int primary key)')
    n.query('insert into ledger values (1)')
    moment = time.time()
    n.query('insert into ledger values (2)')
    folder = os.path.join(place.dir, 'young')
    n.command('backup', '--to', folder)
    redo = os.listdir(os.path.join(folder, 'redo'))
    expect(redo and all(f.startswith('redo-') for f in redo), f'redo alone, nothing empty: {redo}')
    m, _ = restore(place, 'M', folder, '--time', f'{moment:.6f}')
    m.start()
    expect(ledger_of(m) == {1}, f'one row at that moment, not {ledger_of(m)}')
    m.query('delete from ledger')
    seen = m.query(f"select n from ledger as of timestamp to_timestamp({moment:.6f})")
    expect(seen == [(1,)], f'and AS OF that time as well, not {seen}')
    for never, why in (('2200-01-01', 'in the future'), ('infinity', 'in the future'),
                       ('1960-01-01', 'too old')):
        told = m.client('psql', '-X', '-c', f"select n from ledger as of timestamp '{never}'",
                        check=False).stderr
        expect(why in told, f'{never} is {why}, not {told}')
    n.stop()
    m.stop()


def of_an_abandoned_branch(place):
    """BACKUP-3: a failover with loss leaves the branch that the backup was taken of. With redo from the
    new primary only what both share can be restored, and that is said before anything is written."""
    a, b = place.node('A'), place.node('B')
    a.init()
    a.start()
    b.join(a)
    b.start(wait='answers')
    a.query('create table ledger (n int primary key)')
    a.query('insert into ledger values (1)')
    shared = a.scn()
    b.wait_scn(shared)
    b.kill()
    a.query('insert into ledger values (2)')
    lost = a.scn()
    folder = os.path.join(place.dir, 'abandoned')
    a.command('backup', '--to', folder)
    a.kill()
    b.start(wait='answers')
    wait_until(lambda: b.command('failover', 'B', '--fenced', '--accept-loss',
                                 check=False).returncode == 0, 'B has taken over')
    b.wait_writable()
    for n in range(3, 9):
        b.query('insert into ledger values (%s)', n)
    for target in ((), ('--scn', str(lost)), ('--scn', str(b.scn()))):
        r, done = restore(place, 'R', folder, *target, '--at', b.guard(), check=False)
        expect(done.returncode != 0 and 'not in the history' in done.stderr, f'{target}: {done}')
        expect(not os.path.exists(r.dir), f'{target}: nothing is written')
    s, _ = restore(place, 'S', folder, '--scn', str(shared), '--at', b.guard())
    t, _ = restore(place, 'T', folder, '--scn', str(lost))
    for node, rows in ((s, {1}), (t, {1, 2})):
        node.start()
        expect(ledger_of(node) == rows, f'{rows}, not {ledger_of(node)}')
        node.stop()
    b.stop()


def main():
    with Place(keep='KEEP' in os.environ) as place:
        a = place.node('A')
        a.init()
        a.start()
        a.pgbench('-i', '-s', '1', '-q')
        a.query('create table ledger (n int primary key)')
        early = time.time()
        folder = os.path.join(place.dir, 'backup')
        ledger = Ledger(a.dsn())
        ledger.start()
        a.command('backup', '--to', folder)
        ledger.stop()
        expect(not os.path.exists(os.path.join(folder, 'cluster.key')), 'no key in a backup')
        print('backup under load: ok', flush=True)

        a.pgbench('-c', '4', '-t', '100', '-n')
        half = a.connect()  # E4: begun before the moment, committed after it
        half.autocommit = False
        half.cursor().execute('insert into ledger values (-4)')
        rows, bank, scn = ledger_of(a), bank_consistent(a), a.scn()
        moment = a.moment()
        half.commit()
        expect(-4 in ledger_of(a), 'E4: it is committed by now')
        a.query('delete from ledger')
        a.pgbench('-c', '4', '-t', '50', '-n')

        d, done = restore(place, 'D', folder, '--scn', str(scn), '--at', a.guard())
        is_at(d, rows, bank)
        ids = re.findall(r'database ([0-9a-f]{16})', done.stdout)
        expect(len(set(ids)) == 2, f'BACKUP-4: a database id of its own: {done.stdout}')
        keys = {open(os.path.join(n.dir, 'cluster.key')).read() for n in (a, d)}
        expect(len(keys) == 2, 'BACKUP-4: and a key of its own')
        print('to an SCN, redo from a member: ok', flush=True)

        e, _ = restore(place, 'E', folder, '--time', f'{moment:.6f}', '--at', a.guard())
        is_at(e, rows, bank)
        print('to a time: ok', flush=True)
        # E5: before the backup, but within its history; and before all history.
        early_one, _ = restore(place, 'L', folder, '--time', f'{early:.6f}', '--at', a.guard())
        is_at(early_one, set(), 0)
        done = restore(place, 'O', folder, '--time', '1000000000', '--at', a.guard(), check=False)[1]
        expect(done.returncode != 0, f'E5: a time before all history: {done.stdout}')
        print('to a time before the backup: ok', flush=True)
        is_interrupted(place, a)
        print('interrupted: ok', flush=True)
        without_room(place, a)
        print('without room: ok', flush=True)

        a.stop()
        redo = os.path.join(a.dir, 'redo')
        os.symlink('gone', os.path.join(redo, 'spare-0000000000000099.redo.tmp'))  # as it may happen
        f, _ = restore(place, 'F', folder, '--scn', str(scn), '--redo', redo)
        is_at(f, rows, bank)
        print('to an SCN, redo from a folder: ok', flush=True)

        g, done = restore(place, 'G', folder, '--scn', str(scn), check=False)
        expect(done.returncode != 0 and not os.path.exists(g.dir), 'E6, BACKUP-3: nothing is written')
        expect('reach' in done.stderr, done.stderr)
        for nowhere in (('no-such-backup',), (folder, '--redo', 'no-such-redo')):
            done = restore(place, 'G', *nowhere, check=False)[1]
            expect(f'{nowhere[-1]} is not a folder' in done.stderr, done.stderr)
        torn = os.path.join(place.dir, 'torn')
        os.mkdir(torn)
        name = next(n for n in sorted(os.listdir(redo)) if n.startswith('redo-'))
        with open(os.path.join(torn, name), 'wb') as file:
            file.write(b'nothing')
        g, done = restore(place, 'G', folder, '--redo', torn, check=False)
        expect(done.returncode != 0 and f'copy of {torn}' in done.stderr, done.stderr)
        expect(not os.path.exists(g.dir), 'BACKUP-3: nothing is written')
        bad = os.path.join(place.dir, 'bad')
        shutil.copytree(folder, bad)
        name = next(n for n in sorted(os.listdir(os.path.join(bad, 'segments'))))
        with open(os.path.join(bad, 'segments', name), 'r+b') as file:
            file.seek(100)
            file.write(b'?!?!')
        h, done = restore(place, 'H', bad, check=False)
        expect(done.returncode != 0 and name in done.stderr and not os.path.exists(h.dir),
               f'BACKUP-1: the damaged file is named: {done.stderr}')
        os.unlink(os.path.join(bad, 'backup'))
        h, done = restore(place, 'H', bad, check=False)
        expect(done.returncode != 0 and not os.path.exists(h.dir), 'an unfinished one is refused')
        print('what cannot be is refused: ok', flush=True)
    with Place(keep='KEEP' in os.environ) as place:
        a = place.node('A')
        a.init()
        a.start()
        a.pgbench('-i', '-s', '1', '-q')
        stopped_meanwhile(place, a)
        print('stopped meanwhile: ok', flush=True)
    with Place(keep='KEEP' in os.environ) as place:
        in_the_first_second(place)
        print('to a time in the first second: ok', flush=True)
    with Place(keep='KEEP' in os.environ) as place:
        of_an_abandoned_branch(place)
        print('of an abandoned branch: ok', flush=True)
    print('11 passed, 0 failed')


if __name__ == '__main__':
    main()
