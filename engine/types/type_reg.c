/* regclass, regtype, regproc, regnamespace …: an OID whose text form is a name. regtype knows the
 * registry; the others ask the catalogue through struct type_env.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "engine/types/type_int.h"

static bool
all_digits(struct slice s)
{
    for (size_t i = 0; i < s.size; i++) {
        if (!ascii_is_digit(s.data[i]))
            return false;
    }
    return s.size > 0;
}

int
reg_in(const struct type *t, const struct type_env *env, struct arena *a, struct slice text,
       int32_t typmod, struct datum *out)
{
    oid_t oid = 0;
    int32_t ignored;
    int rc;

    if (slice_eq(text, slice_str("-"))) {
        *out = datum_int(0);
        return 0;
    }
    if (all_digits(text))
        return oid_in(t, env, a, text, typmod, out);
    if (t->oid == TYPE_REGTYPE)
        rc = type_parse(text, &oid, &ignored);
    else if (env != NULL && env->reg_from_name != NULL)
        rc = env->reg_from_name(env->arg, t->oid, text, &oid);
    else
        rc = DIAG(ERR_NOT_SUPPORTED, "names of type %s cannot be looked up here", t->sql_name);
    if (rc == 0)
        *out = datum_int(oid);
    return rc;
}

void
reg_out(const struct type *t, const struct type_env *env, const struct datum *d, struct writer *w)
{
    if (d->i == 0) {
        wr_u8(w, '-');
        return;
    }
    if (t->oid == TYPE_REGTYPE && type_find((oid_t)d->i) != NULL) {
        type_format((oid_t)d->i, -1, w);
        return;
    }
    if (t->oid != TYPE_REGTYPE && env != NULL && env->reg_to_name != NULL &&
        env->reg_to_name(env->arg, t->oid, (oid_t)d->i, w))
        return;
    wr_int(w, d->i);
}
