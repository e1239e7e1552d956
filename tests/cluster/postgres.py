"""A PostgreSQL of one's own, to compare with: a private cluster, gone when the block ends.

SPDX-License-Identifier: Apache-2.0
"""
import glob
import os
import shutil
import subprocess
import tempfile

import psycopg2

from harness import Failure, free_ports

SETTINGS = """
listen_addresses = '127.0.0.1'
port = {port}
unix_socket_directories = '{folder}'
fsync = off
timezone = 'UTC'
jit = off
"""


class Postgres:
    def __enter__(self):
        programs = sorted(glob.glob('/usr/lib/postgresql/*/bin/initdb'))
        if not programs:
            raise Failure('there is no PostgreSQL to compare with')
        self.programs = os.path.dirname(programs[-1])
        self.folder = tempfile.mkdtemp(prefix='redoubt-pg-')
        self.data = os.path.join(self.folder, 'data')
        (self.port,) = free_ports(1)
        self.prefix = []
        if os.geteuid() == 0:  # it refuses to run as root
            shutil.chown(self.folder, 'postgres', 'postgres')
            self.prefix = ['runuser', '-u', 'postgres', '--']
        try:
            self.tool('initdb', '-D', self.data, '-A', 'trust', '-U', 'redoubt', '-E', 'UTF8',
                      '--locale=C')
            with open(os.path.join(self.data, 'postgresql.conf'), 'a', encoding='ascii') as file:
                file.write(SETTINGS.format(port=self.port, folder=self.folder))
            self.tool('pg_ctl', '-s', '-w', '-D', self.data, '-l', self.data + '.log', 'start')
            self.connect('postgres').cursor().execute('create database redoubt')
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        if os.path.exists(os.path.join(self.data, 'postmaster.pid')):
            self.tool('pg_ctl', '-s', '-w', '-m', 'immediate', '-D', self.data, 'stop')
        shutil.rmtree(self.folder, ignore_errors=True)

    def tool(self, name, *words):
        done = subprocess.run([*self.prefix, os.path.join(self.programs, name), *words],
                              stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                              stderr=subprocess.PIPE, text=True, cwd='/')
        if done.returncode != 0:
            raise Failure(f'{name}: {done.stderr}')

    def dsn(self, database='redoubt'):
        return f'host=127.0.0.1 port={self.port} user=redoubt dbname={database}'

    def connect(self, database='redoubt'):
        connection = psycopg2.connect(self.dsn(database))
        connection.autocommit = True
        return connection
