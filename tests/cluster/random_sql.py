"""Random statements over a few small tables: what both Redoubt and PostgreSQL should answer alike.

Everything hangs on one random.Random, so a seed is a whole run. Values are few, so that joins meet,
groups have members and NULLs are everywhere.

SPDX-License-Identifier: Apache-2.0
"""

TABLES = {
    't1': {'a': 'int', 'b': 'int', 'c': 'text', 'd': 'numeric', 'e': 'date', 'f': 'bool'},
    't2': {'a': 'int', 'b': 'bigint', 'c': 'text', 'g': 'float8', 'h': 'timestamp'},
    't3': {'k': 'int', 'b': 'int', 's': 'text', 'd': 'numeric'},
    't4': {'k': 'int', 'a': 'int', 'f': 'bool', 'e': 'date'},
}
DECLARED = {
    't1': 'create table t1 (a int primary key, b int, c text, d numeric(8,2), e date, f bool)',
    't2': 'create table t2 (a int, b bigint, c varchar(10), g float8, h timestamp)',
    't3': 'create table t3 (k int, b int not null, s text, d numeric, primary key (b, k))',
    't4': 'create table t4 (k int unique, a int, f bool not null, e date)',
}
INDEXES = ('create index t1_b on t1 (b)', 'create index t2_ab on t2 (a, b desc)',
           'create index t2_c on t2 (c)', 'create index t3_s on t3 (s, d)',
           'create index t4_a on t4 (a desc nulls last)')
NUMBERS = ('int', 'bigint', 'numeric', 'float8')
KINDS = (*NUMBERS, 'text', 'date', 'timestamp', 'bool')


class Generator:
    def __init__(self, rng):
        self.rng = rng

    def one(self, *choices):
        return self.rng.choice(choices)

    def chance(self, p):
        return self.rng.random() < p

    # ---- data ------------------------------------------------------------------------------------

    def literal(self, kind):
        r = self.rng
        if kind in ('int', 'bigint'):
            return str(r.choice((0, 1, 2, 3, 5, 7, 10, -1, -4, 20, 100)))
        if kind == 'numeric':
            return r.choice(('0', '1.5', '2', '2.00', '-3.25', '10.1', '99.99'))
        if kind == 'float8':
            return r.choice(("0::float8", "1.5::float8", "2::float8", "-2.25::float8", "1e3::float8"))
        if kind == 'text':
            return r.choice(("'a'", "'b'", "'ab'", "'B'", "''", "'x y'", "'b%'", "'10'", "'é'"))
        if kind == 'date':
            return f"date '2024-0{r.randint(1, 3)}-{r.randint(10, 13)}'"
        if kind == 'timestamp':
            return f"timestamp '2024-02-1{r.randint(0, 3)} 0{r.randint(0, 2)}:30:00'"
        return r.choice(('true', 'false'))

    def value(self, kind, nulls=0.2):
        return 'null' if self.chance(nulls) else self.literal(kind)

    def setup(self):
        yield from DECLARED.values()
        rows = self.one(5, 15, 30, 80)
        for table, columns in TABLES.items():
            lines = []
            for i in range(rows):
                row = []
                for name, kind in columns.items():
                    if (table, name) in (('t1', 'a'), ('t3', 'k'), ('t4', 'k')):
                        row.append(str(i))
                    elif (table, name) == ('t3', 'b'):
                        row.append(str(i % 5))
                    elif (table, name) == ('t4', 'f'):
                        row.append(self.literal('bool'))
                    else:
                        row.append(self.value(kind))
                lines.append(f'({", ".join(row)})')
            yield f'insert into {table} values {", ".join(lines)}'
        for index in INDEXES:
            if self.chance(0.6):
                yield index
        yield 'analyze'

    # ---- expressions; `scope` is a list of (name, kind) ------------------------------------------------

    def column(self, kind, scope):
        fitting = [n for n, k in scope if k == kind]
        return self.rng.choice(fitting) if fitting else self.literal(kind)

    def expr(self, kind, scope, depth=2):
        if depth <= 0 or self.chance(0.4):
            if scope and self.chance(0.8):
                return self.column(kind, scope)
            return self.value(kind, 0.08) if self.chance(0.5) else f'{self.literal(kind)}'
        d = depth - 1
        e = self.expr
        pick = self.rng.random()
        if pick < 0.1:
            return f'case when {self.condition(scope, d)} then {e(kind, scope, d)} else {e(kind, scope, d)} end'
        if pick < 0.18:
            return f'coalesce({e(kind, scope, d)}, {e(kind, scope, d)})'
        if pick < 0.22:
            return f'nullif({e(kind, scope, d)}, {e(kind, scope, d)})'
        if pick < 0.26 and kind != 'bool':
            return f'{self.one("greatest", "least")}({e(kind, scope, d)}, {e(kind, scope, d)})'
        if pick < 0.3 and depth > 1:
            return self.scalar_query(kind, scope)
        return getattr(self, 'more_' + kind)(scope, d)

    def more_int(self, scope, d):
        e = self.expr
        return self.one(lambda: f'({e("int", scope, d)} {self.one("+", "-")} {e("int", scope, d)})',
                        lambda: f'({e("int", scope, d)} * {self.literal("int")})',
                        lambda: f'({e("int", scope, d)} / {self.one(2, 3, 7)})',
                        lambda: f'({e("int", scope, d)} % {self.one(2, 3, 5)})',
                        lambda: f'length({e("text", scope, d)})',
                        lambda: f'abs({e("int", scope, d)})',
                        lambda: f'(- {e("int", scope, d)})',
                        lambda: f'cast({e("bool", scope, d)} as int)',
                        lambda: f'position({self.literal("text")} in {e("text", scope, d)})',
                        lambda: f'({e("date", scope, d)} - {e("date", scope, d)})',
                        lambda: f'round({e("numeric", scope, d)})::int')()

    def more_bigint(self, scope, d):
        e = self.expr
        return self.one(lambda: f'({e("bigint", scope, d)} {self.one("+", "-")} {e("int", scope, d)})',
                        lambda: f'{e("int", scope, d)}::bigint',
                        lambda: f'({e("bigint", scope, d)} % 4::bigint)',
                        lambda: f'({e("bigint", scope, d)} / 2::bigint)')()

    def more_numeric(self, scope, d):
        e = self.expr
        return self.one(lambda: f'({e("numeric", scope, d)} {self.one("+", "-", "*")} {e("numeric", scope, d)})',
                        lambda: f'({e("numeric", scope, d)} / {self.one("3", "1.7", "-2.5")})',
                        lambda: f'round({e("numeric", scope, d)}, {self.one(0, 1, 2)})',
                        lambda: f'({e("int", scope, d)} + {e("numeric", scope, d)})',
                        lambda: f'{e("int", scope, d)}::numeric(10,{self.one(0, 2)})',
                        lambda: f'trunc({e("numeric", scope, d)}::numeric)',
                        lambda: f'ceil({e("numeric", scope, d)})')()

    def more_float8(self, scope, d):
        e = self.expr
        return self.one(lambda: f'({e("float8", scope, d)} {self.one("+", "-", "*")} {e("float8", scope, d)})',
                        lambda: f'({e("int", scope, d)} * {e("float8", scope, d)})',
                        lambda: f'{e("numeric", scope, d)}::float8',
                        lambda: f'floor({e("float8", scope, d)})')()

    def more_text(self, scope, d):
        e = self.expr
        return self.one(lambda: f'({e("text", scope, d)} || {e("text", scope, d)})',
                        lambda: f'upper({e("text", scope, d)})',
                        lambda: f'substr({e("text", scope, d)}, {self.one(1, 2, 0)}, {self.one(1, 2)})',
                        lambda: f'replace({e("text", scope, d)}, {self.literal("text")}, \'z\')',
                        lambda: f'{e("int", scope, d)}::text',
                        lambda: f'{e("numeric", scope, d)}::text',
                        lambda: f'{e("date", scope, d)}::text',
                        lambda: f'{e("bool", scope, d)}::text',
                        lambda: f'trim({e("text", scope, d)})',
                        lambda: f'({e("int", scope, d)} || {e("text", scope, d)})')()

    def more_date(self, scope, d):
        e = self.expr
        return self.one(lambda: f'({e("date", scope, d)} {self.one("+", "-")} {self.one(1, 2, 30)})',
                        lambda: f'{e("timestamp", scope, d)}::date')()

    def more_timestamp(self, scope, d):
        e = self.expr
        return self.one(lambda: f'({e("timestamp", scope, d)} + interval \'{self.one("1 day", "1 month", "90 minutes")}\')',
                        lambda: f'{e("date", scope, d)}::timestamp',
                        lambda: f'date_trunc(\'{self.one("month", "day", "hour")}\', {e("timestamp", scope, d)})')()

    def more_bool(self, scope, d):
        return f'({self.condition(scope, d)})'

    def comparison(self, scope, depth):
        kind = self.rng.choice(KINDS)
        op = self.one('=', '=', '<>', '<', '<=', '>', '>=', 'is distinct from', 'is not distinct from')
        other = kind
        if kind in NUMBERS and self.chance(0.3):
            other = self.rng.choice(NUMBERS)
        return f'{self.expr(kind, scope, depth)} {op} {self.expr(other, scope, depth)}'

    def condition(self, scope, depth=2):
        d = depth - 1
        pick = self.rng.random()
        if depth <= 0 or pick < 0.4:
            return self.comparison(scope, max(d, 0))
        kind = self.rng.choice(KINDS)
        x = lambda: self.expr(kind, scope, d)  # noqa: E731
        no = self.one('', '', 'not ')
        if pick < 0.55:
            return f'({self.condition(scope, d)} {self.one("and", "and", "or")} {self.condition(scope, d)})'
        if pick < 0.6:
            return f'not ({self.condition(scope, d)})'
        if pick < 0.67:
            return f'{x()} is {no}null'
        if pick < 0.73:
            return f'{x()} {no}in ({", ".join(self.value(kind, 0.1) for _ in range(self.one(1, 2, 4)))})'
        if pick < 0.78:
            return f'{x()} {no}between {x()} and {x()}'
        if pick < 0.82:
            return f'{self.expr("text", scope, d)} {no}like {self.one("a%", "%b", "%", "_", "a_%")!r}'
        if pick < 0.85:
            return f'{self.column("bool", scope)} is {no}{self.one("true", "false", "unknown")}'
        if pick < 0.92 and depth > 1:
            return f'{x()} {no}in ({self.one_column(kind, scope)})'
        if pick < 0.98 and depth > 1:
            return f'{no}exists ({self.one_column(kind, scope)})'
        if depth > 1:
            return f'{x()} {self.one("=", "<>", "<", ">=")} {self.one("any", "all")} ({self.one_column(kind, scope)})'
        return self.comparison(scope, max(d, 0))

    # ---- queries -----------------------------------------------------------------------------------

    def fresh(self):
        self.names += 1
        return f'q{self.names}'

    def base(self):
        table = self.rng.choice(list(TABLES))
        name = self.fresh()
        return f'{table} {name}', [(f'{name}.{c}', k) for c, k in TABLES[table].items()]

    def source(self, outer, depth):
        pick = self.rng.random()
        if pick < 0.75 or depth <= 0:
            return self.base()
        name = self.fresh()
        if pick < 0.8:
            return f'generate_series(1, {self.one(3, 5)}) {name}', [(name, 'int')]
        if pick < 0.85:
            kinds = [self.rng.choice(KINDS) for _ in range(2)]
            rows = ', '.join(f'({", ".join(self.literal(k) for k in kinds)})' for _ in range(3))
            return (f'(values {rows}) {name} (x, y)', [(f'{name}.x', kinds[0]), (f'{name}.y', kinds[1])])
        kinds = [self.rng.choice(KINDS) for _ in range(self.one(1, 2, 3))]
        query = self.select(kinds, [], depth - 1, named=True)
        return f'({query}) {name}', [(f'{name}.c{i}', k) for i, k in enumerate(kinds)]

    def join_condition(self, left, right):
        pairs = [(a, b) for a, k in left for b, l in right
                 if k == l or (k in NUMBERS and l in NUMBERS)]
        parts = []
        if pairs and self.chance(0.85):
            a, b = self.rng.choice(pairs)
            parts.append(f'{a} = {b}')
            if self.chance(0.2):
                a, b = self.rng.choice(pairs)
                parts.append(f'{a} {self.one("=", "<", "<>")} {b}')
        if not parts or self.chance(0.3):
            parts.append(self.condition(left + right, 1))
        return ' and '.join(parts)

    def tables(self, outer, depth):
        """A FROM clause and what can be named after it."""
        text, scope = self.source(outer, depth)
        for _ in range(self.one(0, 0, 1, 1, 1, 2, 3)):
            more, columns = self.source(outer, depth)
            kind = self.one('join', 'join', 'left join', 'left join', 'right join', 'full join', 'cross')
            if kind == 'cross':
                text = f'{text} cross join {more}'
            elif kind == 'full join':
                pairs = [(a, b) for a, k in scope for b, l in columns if k == l]
                if not pairs:
                    continue
                a, b = self.rng.choice(pairs)
                text = f'{text} full join {more} on {a} = {b}'
            else:
                text = f'{text} {kind} {more} on {self.join_condition(scope, columns)}'
            scope = scope + columns
        return text, scope

    def where(self, scope, outer, p=0.7):
        if not self.chance(p):
            return ''
        text = self.condition(scope + outer, 2)
        if outer and self.chance(0.7):
            pairs = [(a, b) for a, k in scope for b, l in outer if k == l]
            if pairs:
                a, b = self.rng.choice(pairs)
                text = f'{a} = {b} and {text}'
        return f' where {text}'

    def one_column(self, kind, outer):
        return self.select([kind], outer, 0, named=False)

    def scalar_query(self, kind, outer):
        text, scope = self.base()
        agg = 'max' if kind != 'bool' else 'bool_or'
        inner = self.expr(kind, scope, 1)  # of outer columns alone it would be the outer query's aggregate
        return f'(select {agg}({inner}) from {text}{self.where(scope, outer)})'

    def aggregate(self, kind, scope):
        e = lambda k: self.expr(k, scope, 1)  # noqa: E731
        distinct = self.one('', '', '', 'distinct ')
        keep = f' filter (where {self.condition(scope, 1)})' if self.chance(0.1) else ''
        if kind == 'int':
            return self.one(f'count(*){keep}', f'count({distinct}{e(self.rng.choice(KINDS))}){keep}',
                            f'min({e("int")}){keep}', f'max({e("int")}){keep}') + '::int'
        if kind == 'bigint':
            return f'sum({distinct}{e("int")}){keep}'
        if kind == 'numeric':
            return self.one(f'sum({distinct}{e("numeric")}){keep}', f'avg({e("int")}){keep}',
                            f'avg({e("numeric")}){keep}', f'sum({e("bigint")}){keep}')
        if kind == 'bool':
            return f'{self.one("bool_and", "bool_or", "every")}({e("bool")}){keep}'
        return f'{self.one("min", "max")}({e(kind)}){keep}'

    def select(self, kinds, outer, depth, named, ordered=False):
        """A query of these column types; in parentheses where it may need them."""
        if depth > 0 and self.chance(0.12):
            op = self.one('union', 'union all', 'intersect', 'except', 'except all', 'intersect all')
            return (f'{self.plain(kinds, outer, 0, named)} {op} {self.plain(kinds, outer, 0, named)}'
                    + (self.order(kinds) if ordered else ''))
        return self.plain(kinds, outer, depth, named, ordered)

    def order(self, kinds):
        keys = list(range(1, len(kinds) + 1))
        self.rng.shuffle(keys)
        return ' order by ' + ', '.join(
            f'{k}{self.one("", " desc", " nulls first", " desc nulls last")}' for k in keys)

    def plain(self, kinds, outer, depth, named, ordered=False):
        text, scope = self.tables(outer, depth)
        where = self.where(scope, outer)
        distinct = ''
        tail = ''
        if self.chance(0.3):
            keys = [self.rng.choice(scope) for _ in range(self.one(0, 1, 1, 2))]
            if keys and self.chance(0.3):
                kind = self.rng.choice(KINDS)
                keys.append((self.expr(kind, scope, 1), kind))
            keys = [(t, k) for t, k in keys if not t.lstrip('-(').rstrip(')').isdigit()
                    and not t.startswith("'") and t != 'null' and '.' in t and '(select' not in t]
            items = []
            for kind in kinds:
                own = [t for t, k in keys if k == kind]
                items.append(self.rng.choice(own) if own and self.chance(0.7)
                             else self.aggregate(kind, scope))
            if keys:
                tail = ' group by ' + ', '.join(t for t, _ in keys)
            if self.chance(0.3):
                tail += f' having {self.aggregate("int", scope)} {self.one(">", "<", "<>")} {self.one(0, 1, 2, 3)}'
        else:
            items = [self.expr(k, scope + (outer if self.chance(0.2) else []), 2) for k in kinds]
            distinct = self.one('', '', '', 'distinct ')
        # an untyped NULL or text must have its type in a set operation and in FROM
        items = [f'cast({t} as {k})' for t, k in zip(items, kinds)]
        if named:
            items = [f'{t} as c{i}' for i, t in enumerate(items)]
        query = f'select {distinct}{", ".join(items)} from {text}{where}{tail}'
        if ordered:
            query += self.order(kinds)
            if self.chance(0.5):
                query += f' limit {self.one(0, 1, 5, 20)}'
                if self.chance(0.4):
                    query += f' offset {self.one(1, 3)}'
        return query

    def query(self):
        """(text, whether the order of the rows is given)"""
        self.names = 0
        kinds = [self.rng.choice(KINDS) for _ in range(self.one(1, 2, 3, 4))]
        if self.chance(0.07):
            name = self.fresh()
            inner = self.select(kinds, [], 1, named=True)
            columns = [(f'{name}.c{i}', k) for i, k in enumerate(kinds)]
            text, scope = self.base()
            return (f'with {name} as ({inner}) select * from {name} join {text} on'
                    f' {self.join_condition(columns, scope)}', False)
        ordered = self.chance(0.4)
        return self.select(kinds, [], 2, named=False, ordered=ordered), ordered

    # ---- writes --------------------------------------------------------------------------------------

    def write(self):
        self.names = 0
        table = self.rng.choice(list(TABLES))
        columns = TABLES[table]
        scope = [(f'{table}.{c}', k) for c, k in columns.items()]
        loose = {'t1': 'bcdef', 't2': 'abcgh', 't3': 'sd', 't4': 'ae'}[table]
        pick = self.rng.random()
        returning = ' returning *' if self.chance(0.3) else ''
        if pick < 0.4:
            sets = [c for c in loose if self.chance(0.4)] or [loose[0]]
            if self.chance(0.3):
                # exactly one row of the other table for each: else which one wins is open
                other, key = self.one(('t1', 'a'), ('t4', 'k'))
                if other != table:
                    more = scope + [(f'{other}.{c}', k) for c, k in TABLES[other].items()]
                    mine = self.column('int', scope)
                    items = ', '.join(f'{c} = {self.assigned(table, c, more)}' for c in sets)
                    return (f'update {table} set {items} from {other} where {other}.{key} = {mine}'
                            f' and {self.condition(more, 1)}{returning}')
            items = ', '.join(f'{c} = {self.assigned(table, c, scope)}' for c in sets)
            return f'update {table} set {items} where {self.condition(scope, 2)}{returning}'
        if pick < 0.6:
            narrow = f'{self.column("int", scope)} % 3 = {self.one(0, 1, 2)}'
            return f'delete from {table} where {narrow} and {self.condition(scope, 2)}{returning}'
        keys = {'t1': 'a', 't2': '', 't3': 'kb', 't4': 'k'}[table]
        source, from_scope = self.base()
        one_row = ''
        if keys:  # more rows than one would get the same key, and which is first is open
            name = self.fresh()
            other, key = self.one(('t1', 'a'), ('t4', 'k'))
            source = f'{other} {name}'
            from_scope = [(f'{name}.{c}', k) for c, k in TABLES[other].items()]
            one_row = f' and {name}.{key} = {self.rng.randint(0, 12)}'
        items = []
        for c, k in columns.items():
            if c in keys and c == 'b':
                items.append(self.one('0', '3'))
            elif c in keys:
                items.append(self.one(f'(select coalesce(max({c}), 0) + 1 from {table})', '4'))
            elif (table, c) == ('t4', 'f'):
                items.append(self.literal('bool'))
            else:
                items.append(self.fitted(table, c, self.expr(k, from_scope, 1)))
        one = f'select {", ".join(items)} from {source}{self.where(from_scope, [], 1)}{one_row}'
        conflict = self.one('', '', ' on conflict do nothing') if keys else ''
        return f'insert into {table} {one}{conflict}{returning}'

    def fitted(self, table, column, text):
        if (table, column) == ('t2', 'c'):
            return f'substr({text}, 1, 9)'
        if (table, column) == ('t1', 'd'):
            return f'least({text}, 9999)'
        return text

    def assigned(self, table, column, scope):
        return self.fitted(table, column, self.expr(TABLES[table][column], scope, 1))
