#!/usr/bin/python3
"""TIDY-1: each rule of scripts/tidy has a violation that makes it fail. A small tree that is tidy, and
one thing wrong with it at a time.

SPDX-License-Identifier: Apache-2.0
"""
import os
import shutil
import subprocess
import sys
import tempfile

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
SPDX = '/* SPDX-License-Identifier: Apache-2.0 */\n'
RULE = 'AB-'  # what @ stands for below: numbers written out would be cited here
GOOD = {
    'README.md': '# All\n',
    'scripts/README.md': '# scripts\n\n`tidy`\n',
    'engine/README.md': '# engine\n\n- **@1** It holds.\n',
    'engine/base/README.md': '# base\n\n`a.h`, `a.c`\n',
    'engine/base/a.h': SPDX + 'int a(void);\n',
    'engine/base/a.c': SPDX + '#include "engine/base/a.h"\n\nint\na(void)\n{\n    return 1;\n}\n',
    'engine/redo/README.md': '# redo\n\n`b.c`, `b_int.h`\n',
    'engine/redo/b_int.h': SPDX + 'int b(void);\n',
    'engine/redo/b.c': SPDX + '#include "engine/base/a.h"\n\nint\nb(void)\n{\n    return a();\n}\n',
    'engine/lsm/README.md': '# lsm\n\n`c.c`\n',
    'engine/lsm/c.c': SPDX + 'int\nc(void)\n{\n    return 1;\n}\n',
    'tests/README.md': '# tests\n',
    'tests/unit/test_a.c': SPDX + '/* @1 */\nint\nmain(void)\n{\n    return 0;\n}\n',
}


def body(line):
    return SPDX + 'int\nc(void)\n{\n    ' + line + '\n}\n'


# What is planted, and what tidy must say. None: the file is taken away.
BAD = [
    ({'engine/base/a.h': SPDX + '#include "engine/redo/b.h"\n'}, 'engine/base may not include'),
    ({'engine/base/a.h': SPDX + '#include "elsewhere/b.h"\n'}, 'which is in no room'),
    ({'engine/lsm/c.c': SPDX + '#include "engine/redo/b_int.h"\n'}, 'is private to engine/redo'),
    ({'engine/lsm/c.c': SPDX + '\n' * 800}, 'lines; at most 800'),
    ({'engine/lsm/c.c': body('return 1;\n' + '    ;\n' * 61)}, 'function of 6'),
    ({'engine/lsm/c.c': body('return malloc(1);')}, 'malloc() is banned here: use mem.h'),
    ({'engine/lsm/c.c': body('return strcpy(1, 2);')}, 'strcpy() is banned'),
    ({'engine/lsm/c.c': body('return pthread_create(1);')}, 'pthread_create() is banned'),
    ({'engine/lsm/c.c': body('return fopen(1);')}, 'fopen() is banned here: use env.h'),
    ({'tests/unit/test_a.c': SPDX + '/* @1 */\n' + body('return sprintf(1);')},
     'sprintf() is banned'),
    ({'engine/lsm/README.md': None}, 'engine/lsm:0: has no README.md'),
    ({'scripts/README.md': None}, 'scripts:0: has no README.md'),
    ({'engine/lsm/README.md': '# lsm\n\n`c.c`\n' + '\n' * 120}, 'lines; at most 120'),
    ({'engine/lsm/README.md': '# lsm\n'}, 'does not name c.c'),
    ({'engine/lsm/README.md': '# lsm\n\n`c.c`, `gone.c`\n'}, 'names gone.c, which is not there'),
    ({'tests/unit/test_a.c': body('return 0;')}, 'no test cites @1'),
    ({'tests/unit/test_a.c': SPDX + '/* @1, @2 */\n'}, '@2 is defined nowhere'),
    ({'engine/lsm/README.md': '# lsm\n\n`c.c`\n\n- **@1** Again.\n'}, 'is defined in'),
    ({'engine/lsm/c.c': 'int\nc(void)\n{\n    return 1;\n}\n'}, 'has no SPDX line'),
]
if shutil.which('clang-format'):
    BAD.append(({'engine/lsm/c.c': SPDX + 'int c (void) {return 1;}\n'}, 'as clang-format writes it'))


def tidy(files):
    with tempfile.TemporaryDirectory(prefix='redoubt-tidy-') as top:
        for name in ('scripts/tidy', 'scripts/layers.txt', '.clang-format'):
            os.makedirs(os.path.join(top, os.path.dirname(name)), exist_ok=True)
            shutil.copy(os.path.join(TOP, name), os.path.join(top, name))
        for name, text in files.items():
            path = os.path.join(top, name)
            os.makedirs(os.path.dirname(path), exist_ok=True)
            if text is not None:
                with open(path, 'w', encoding='utf-8') as f:
                    f.write(text.replace('@', RULE))
        done = subprocess.run([os.path.join(top, 'scripts', 'tidy')], capture_output=True, text=True,
                              check=False)
        return done.returncode, done.stdout + done.stderr


def main():
    failed = 0
    code, said = tidy(GOOD)
    if code != 0:
        print(f'a tidy tree is refused:\n{said}')
        failed += 1
    for change, expected in BAD:
        code, said = tidy({**GOOD, **change})
        if code == 0 or expected.replace('@', RULE) not in said:
            print(f'{sorted(change)}: no "{expected}" in:\n{said}')
            failed += 1
    print(f'{len(BAD) + 1 - failed} rules shown, {failed} not')
    return failed != 0


sys.exit(main())
