/* Kernels of arrays, and of values of any type.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "engine/types/array.h"
#include "engine/types/func_int.h"

int
fn_array_ndims(struct func_call *call, const struct datum *args, struct datum *out)
{
    (void)call;
    *out = array_count(&args[0]) == 0 ? datum_null() : datum_int(1);
    return 0;
}

int
fn_cardinality(struct func_call *call, const struct datum *args, struct datum *out)
{
    (void)call;
    *out = datum_int(array_count(&args[0]));
    return 0;
}

static bool
has_dimension(const struct datum *args)
{
    return args[1].i == 1 && array_count(&args[0]) > 0;
}

int
fn_array_length(struct func_call *call, const struct datum *args, struct datum *out)
{
    (void)call;
    *out = has_dimension(args) ? datum_int(array_count(&args[0])) : datum_null();
    return 0;
}

int
fn_array_lower(struct func_call *call, const struct datum *args, struct datum *out)
{
    (void)call;
    *out = has_dimension(args) ? datum_int(array_lower_bound(&args[0])) : datum_null();
    return 0;
}

int
fn_array_upper(struct func_call *call, const struct datum *args, struct datum *out)
{
    (void)call;
    *out = has_dimension(args)
               ? datum_int((int64_t)array_lower_bound(&args[0]) + array_count(&args[0]) - 1)
               : datum_null();
    return 0;
}

/* array_to_string(array, separator [, text for nulls]). */
int
fn_array_to_string(struct func_call *call, const struct datum *args, struct datum *out)
{
    struct array_iter it;
    struct datum e;
    struct writer w;
    bool first = true;
    const struct datum *nulls = call->arg_count > 2 && !args[2].is_null ? &args[2] : NULL;

    if (args[0].is_null || args[1].is_null) {
        *out = datum_null();
        return 0;
    }
    wr_init(&w, TEXT_SIZE_MAX);
    array_iter_init(&it, &args[0]);
    while (array_next(&it, &e)) {
        if (e.is_null && nulls == NULL)
            continue;
        if (!first)
            wr_bytes(&w, args[1].p, args[1].size);
        first = false;
        if (e.is_null)
            wr_bytes(&w, nulls->p, nulls->size);
        else
            type_out(it.elem->oid, call->env, &e, &w);
    }
    return text_from_writer(call, &w, out);
}

/* One array behind the other; a null is as if it were empty. */
int
fn_array_cat(struct func_call *call, const struct datum *args, struct datum *out)
{
    uint32_t count = 0, n = 0;
    struct datum *elems;

    if (args[0].is_null || args[1].is_null) {
        *out = args[0].is_null ? args[1] : args[0];
        return 0;
    }
    for (int i = 0; i < 2; i++)
        count += array_count(&args[i]);
    if (count > ARRAY_ELEMENTS_MAX)
        return DIAG(ERR_LIMIT, "array size exceeds the maximum allowed (%d)", ARRAY_ELEMENTS_MAX);
    elems = ARENA_ARRAY(call->arena, struct datum, count + 1);
    for (int i = 0; i < 2; i++) {
        struct array_iter it;

        for (array_iter_init(&it, &args[i]); n < count && array_next(&it, &elems[n]);)
            n++;
    }
    *out = array_make(call->arena, array_elem_type(&args[0]), elems, n, 1);
    return 0;
}

/* array_position(array, value [, start]); null is found too. */
int
fn_array_position(struct func_call *call, const struct datum *args, struct datum *out)
{
    struct array_iter it;
    struct datum e;
    int64_t at, start = INT64_MIN;

    *out = datum_null();
    if (args[0].is_null)
        return 0;
    if (call->arg_count > 2) {
        if (args[2].is_null)
            return DIAG(ERR_INVALID_PARAMETER_VALUE, "initial position must not be null");
        start = args[2].i;
    }
    at = array_lower_bound(&args[0]);
    array_iter_init(&it, &args[0]);
    for (; array_next(&it, &e); at++) {
        bool equal = e.is_null || args[1].is_null ? e.is_null && args[1].is_null
                                                  : type_cmp(it.elem->oid, &e, &args[1]) == 0;
        if (equal && at >= start) {
            *out = datum_int(at);
            return 0;
        }
    }
    return 0;
}

/* string_to_array(text, separator [, text that means null]). */
int
fn_string_to_array(struct func_call *call, const struct datum *args, struct datum *out)
{
    struct slice rest, sep;
    struct datum *elems;
    uint32_t count = 0, cap = 16;

    *out = datum_null();
    if (args[0].is_null)
        return 0;
    rest = datum_view(&args[0]);
    sep = args[1].is_null ? slice(NULL, 0) : datum_view(&args[1]);
    elems = arena_alloc(call->arena, sizeof *elems * cap);
    for (bool more = rest.size > 0; more; count++) {
        const uint8_t *at = NULL;
        struct slice piece = rest;
        if (count == cap) {
            struct datum *bigger = arena_alloc(call->arena, sizeof *elems * cap * 2);
            memcpy(bigger, elems, sizeof *elems * cap);
            elems = bigger;
            cap *= 2;
        }
        if (args[1].is_null) { /* every character by itself */
            piece.size = chars_step(rest.data, rest.data + rest.size);
            rest = slice(rest.data + piece.size, rest.size - piece.size);
            more = rest.size > 0;
        } else {
            if (sep.size > 0 && rest.size >= sep.size)
                at = memmem(rest.data, rest.size, sep.data, sep.size);
            more = at != NULL;
            if (more) {
                piece.size = (size_t)(at - rest.data);
                rest = slice(at + sep.size, rest.size - piece.size - sep.size);
            }
        }
        elems[count] = datum_slice(piece);
        if (call->arg_count > 2 && !args[2].is_null && slice_eq(piece, datum_view(&args[2])))
            elems[count] = datum_null();
    }
    *out = array_make(call->arena, TYPE_TEXT, elems, count, 1);
    return 0;
}

int
fn_num_nulls(struct func_call *call, const struct datum *args, struct datum *out)
{
    *out = datum_int(0);
    for (int32_t i = 0; i < call->arg_count; i++)
        out->i += args[i].is_null;
    return 0;
}

int
fn_num_nonnulls(struct func_call *call, const struct datum *args, struct datum *out)
{
    *out = datum_int(0);
    for (int32_t i = 0; i < call->arg_count; i++)
        out->i += !args[i].is_null;
    return 0;
}

/* ---- types --------------------------------------------------------------------------------- */

int
fn_format_type(struct func_call *call, const struct datum *args, struct datum *out)
{
    struct writer w;

    *out = datum_null();
    if (args[0].is_null)
        return 0;
    wr_init(&w, 0);
    if (args[1].is_null && type_find((oid_t)args[0].i) != NULL)
        wr_str(&w, type_sql_name((oid_t)args[0].i));
    else
        type_format((oid_t)args[0].i, args[1].is_null ? -1 : (int32_t)args[1].i, &w);
    return text_from_writer(call, &w, out);
}

int
fn_pg_typeof(struct func_call *call, const struct datum *args, struct datum *out)
{
    (void)args;
    *out = datum_int(call->arg_types[0]);
    return 0;
}
