#!/usr/bin/python3
"""Known inputs whose right answers are known: files of sqllogictest, the Chinook database.

SPDX-License-Identifier: Apache-2.0
"""
import glob
import os
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import slt  # noqa: E402
from harness import TOP, expect, run_on_one_node  # noqa: E402

DATA = os.path.join(TOP, 'tests', 'data')


def logic_files(node):
    paths = sorted(glob.glob(os.path.join(DATA, '*.test')))
    expect(len(paths) >= 8, f'the files of {DATA} are not there')
    for path in paths:
        outcome = slt.run(node.dsn(), path)
        for record, wrong in outcome.failures[:5]:
            print(f'{path}:{record.line}: {wrong}\n    {record.text}')
        print(f'  {os.path.basename(path)}: {outcome.held} records')
        expect(not outcome.failures and outcome.held > 4, f'{path}: {len(outcome.failures)} failed')


def chinook(node):
    """As its script makes it, through psql; but in the node's one database, not in one of its own."""
    with open(os.path.join(DATA, 'chinook_postgresql.sql'), encoding='utf-8') as file:
        script = file.read().split('\\c chinook;\n', 1)[1]
    done = node.client('psql', '-X', '-q', '-v', 'ON_ERROR_STOP=1', stdin=script)
    expect(done.stdout == '' and done.stderr == '', done.stdout + done.stderr)
    with open(os.path.join(DATA, 'chinook_answers.txt'), encoding='utf-8') as file:
        wanted = file.read()
    got = node.client('psql', '-X', '-A', '-t', '-f', os.path.join(DATA, 'chinook_queries.sql')).stdout
    expect(got == wanted, f'Chinook: got\n{got}\nnot\n{wanted}')


if __name__ == '__main__':
    run_on_one_node((logic_files, chinook))
