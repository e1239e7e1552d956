"""PostgreSQL's protocol byte by byte, for what drivers do not do: pipelines, portals with row limits,
formats chosen by column. trust only.

SPDX-License-Identifier: Apache-2.0
"""
import socket
import struct


class Wire:
    """One connection. send_* only queue; nothing leaves before flush(), sync() or query()."""

    def __init__(self, port, user='redoubt', database='redoubt'):
        self.port = port
        self.sock = socket.create_connection(('127.0.0.1', port), timeout=30)
        self.out, self.have = b'', b''
        body = struct.pack('!i', 196608)
        for text in ('user', user, 'database', database, ''):
            body += text.encode() + b'\0'
        self.sock.sendall(struct.pack('!i', len(body) + 4) + body)
        self.pid = self.secret = None
        self.parameters = {}
        for kind, body in self.until('Z'):
            if kind == 'K':
                self.pid, self.secret = struct.unpack('!ii', body)
            elif kind == 'S':
                name, value = body.split(b'\0')[:2]
                self.parameters[name.decode()] = value.decode()

    def close(self):
        self.sock.close()

    def read(self):
        """The next message: (kind, body)."""
        while len(self.have) < 5 or len(self.have) < 1 + struct.unpack('!i', self.have[1:5])[0]:
            more = self.sock.recv(65536)
            if not more:
                raise EOFError
            self.have += more
        size = struct.unpack('!i', self.have[1:5])[0]
        kind, body = chr(self.have[0]), self.have[5:1 + size]
        self.have = self.have[1 + size:]
        return kind, body

    def until(self, last):
        messages = []
        while True:
            messages.append(self.read())
            if messages[-1][0] in last:
                return messages

    def send(self, kind, body=b''):
        self.out += kind.encode() + struct.pack('!i', len(body) + 4) + body

    def push(self):
        self.sock.sendall(self.out)
        self.out = b''

    def parse(self, text, name='', types=()):
        self.send('P', name.encode() + b'\0' + text.encode() + b'\0' +
                  struct.pack(f'!h{len(types)}I', len(types), *types))

    def bind(self, values=(), statement='', portal='', formats=(), results=()):
        body = portal.encode() + b'\0' + statement.encode() + b'\0'
        body += struct.pack(f'!h{len(formats)}h', len(formats), *formats)
        body += struct.pack('!h', len(values))
        for v in values:
            body += struct.pack('!i', -1) if v is None else struct.pack('!i', len(v)) + v
        self.send('B', body + struct.pack(f'!h{len(results)}h', len(results), *results))

    def describe(self, kind, name=''):
        self.send('D', kind.encode() + name.encode() + b'\0')

    def execute(self, portal='', limit=0):
        self.send('E', portal.encode() + b'\0' + struct.pack('!i', limit))

    def close_named(self, kind, name=''):
        self.send('C', kind.encode() + name.encode() + b'\0')

    def sync(self):
        self.send('S')
        self.push()
        return [told(*m) for m in self.until('Z')]

    def query(self, text, last='Z'):
        self.send('Q', text.encode() + b'\0')
        self.push()
        return [told(*m) for m in self.until(last)]

    def cancel(self):
        with socket.create_connection(('127.0.0.1', self.port), timeout=30) as s:
            s.sendall(struct.pack('!iiii', 16, 80877102, self.pid, self.secret))
            s.recv(1)


def row(body):
    count, at, values = struct.unpack('!h', body[:2])[0], 2, []
    for _ in range(count):
        size = struct.unpack('!i', body[at:at + 4])[0]
        at += 4
        values.append(None if size < 0 else body[at:at + size])
        at += max(size, 0)
    return tuple(values)


def columns(body):
    count, at, found = struct.unpack('!h', body[:2])[0], 2, []
    for _ in range(count):
        end = body.index(b'\0', at)
        _table, _number, oid, _size, _typmod, form = struct.unpack('!IhIhih', body[end + 1:end + 19])
        found.append((body[at:end].decode(), oid, form))
        at = end + 19
    return found


def fields(body):
    return {chr(f[0]): f[1:].decode() for f in body.split(b'\0') if f}


def told(kind, body):
    """A message in a form that compares well: ('D', row), ('T', columns), ('E', sqlstate) …"""
    if kind == 'D':
        return 'D', row(body)
    if kind == 'T':
        return 'T', columns(body)
    if kind == 't':
        return 't', struct.unpack(f'!{(len(body) - 2) // 4}I', body[2:])
    if kind in 'EN':
        return kind, fields(body)['C']
    if kind == 'C':
        return 'C', body[:-1].decode()
    if kind == 'Z':
        return 'Z', body.decode()
    if kind == 'd':
        return 'd', body.decode()
    return (kind,)
