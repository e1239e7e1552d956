/* to_char() of numbers: templates of 9 0 . , D G FM S MI PL SG PR and literal text.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <math.h>

#include "engine/types/func_int.h"
#include "engine/types/numeric.h"

enum sign_place { SIGN_INLINE, SIGN_S_FRONT, SIGN_S_BACK, SIGN_PR, SIGN_APART };

struct number_format {
    int pre, post;  /* digit places before and after the point */
    int zero_first; /* first 0 among the places before the point; -1: none */
    int zero_last;  /* last 0 among all places, counted from 1; 0: none */
    bool has_point, no_fill;
    enum sign_place sign;
    /* the number */
    bool is_negative, overflows;
    const uint8_t *whole, *fraction;
    int whole_size, fraction_size; /* fraction_size: what of it is shown */
};

static int
bad_template(struct slice at)
{
    return DIAG(ERR_NOT_SUPPORTED, "number template \"%.*s\" is not supported", SLICE_ARGS(at));
}

enum piece { P_LITERAL, P_NINE, P_ZERO, P_POINT, P_COMMA, P_FM, P_S, P_MI, P_PL, P_SG, P_PR };

static bool
starts_with_word(const uint8_t *p, const uint8_t *end, const char *upper)
{
    for (; *upper != 0; p++, upper++) {
        if (p == end || ascii_upper(*p) != (uint8_t)*upper)
            return false;
    }
    return true;
}

/* The next piece of the template and its size. */
static int
next_piece(const uint8_t *p, const uint8_t *end, enum piece *piece, size_t *size)
{
    static const struct {
        const char *text;
        enum piece piece;
    } pieces[] = { { "9", P_NINE },  { "0", P_ZERO },  { ".", P_POINT }, { "D", P_POINT },
                   { ",", P_COMMA }, { "G", P_COMMA }, { "FM", P_FM },   { "SG", P_SG },
                   { "S", P_S },     { "MI", P_MI },   { "PL", P_PL },   { "PR", P_PR } };
    static const char *const others[] = { "EEEE", "TH", "RN", "V", "L", "B", "C", "SP" };

    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++) {
        size_t n = strlen(others[i]);
        if (starts_with_word(p, end, others[i]))
            return bad_template(slice(p, n));
    }
    for (size_t i = 0; i < sizeof pieces / sizeof pieces[0]; i++) {
        if (starts_with_word(p, end, pieces[i].text)) {
            *piece = pieces[i].piece;
            *size = strlen(pieces[i].text);
            return 0;
        }
    }
    *piece = P_LITERAL;
    *size = chars_step(p, end);
    return 0;
}

static int
note_piece(struct number_format *f, enum piece piece)
{
    switch (piece) {
    case P_ZERO:
        if (!f->has_point && f->zero_first < 0)
            f->zero_first = f->pre;
        f->zero_last = f->pre + f->post + 1;
        /* fall through */
    case P_NINE:
        if (f->sign == SIGN_PR)
            return DIAG(ERR_SYNTAX, "\"9\" must be ahead of \"PR\"");
        if (f->has_point)
            f->post++;
        else
            f->pre++;
        return 0;
    case P_POINT:
        if (f->has_point)
            return DIAG(ERR_SYNTAX, "multiple decimal points");
        f->has_point = true;
        return 0;
    case P_FM:
        f->no_fill = true;
        return 0;
    case P_S:
        if (f->sign == SIGN_S_FRONT || f->sign == SIGN_S_BACK)
            return DIAG(ERR_SYNTAX, "cannot use \"S\" twice");
        if (f->sign != SIGN_INLINE)
            return DIAG(ERR_SYNTAX, "cannot use \"S\" and \"PL\"/\"MI\"/\"SG\"/\"PR\" together");
        f->sign = f->pre == 0 && !f->has_point ? SIGN_S_FRONT : SIGN_S_BACK;
        return 0;
    case P_MI:
    case P_PL:
    case P_SG:
        if (f->sign == SIGN_S_FRONT || f->sign == SIGN_S_BACK)
            return DIAG(ERR_SYNTAX, "cannot use \"S\" and \"%s\" together",
                        piece == P_MI   ? "MI"
                        : piece == P_PL ? "PL"
                                        : "SG");
        if (piece != P_PL || f->sign != SIGN_INLINE)
            f->sign = SIGN_APART; /* PL alone leaves the number its own sign */
        return 0;
    case P_PR:
        if (f->sign != SIGN_INLINE)
            return DIAG(ERR_SYNTAX, "cannot use \"PR\" and \"S\"/\"PL\"/\"MI\"/\"SG\" together");
        f->sign = SIGN_PR;
        return 0;
    default:
        return 0;
    }
}

static const uint8_t *
skip_quoted(const uint8_t *p, const uint8_t *end, struct writer *w)
{
    for (p++; p < end && *p != '"'; p++) {
        if (*p == '\\' && end - p > 1)
            p++;
        if (w != NULL)
            wr_u8(w, *p);
    }
    return p < end ? p + 1 : p;
}

static int
read_template(struct number_format *f, struct slice text)
{
    const uint8_t *p = text.data, *end = p + text.size;

    *f = (struct number_format){ .zero_first = -1 };
    while (p < end) {
        enum piece piece;
        size_t size;
        int rc;
        if (*p == '"') {
            p = skip_quoted(p, end, NULL);
            continue;
        }
        rc = next_piece(p, end, &piece, &size);
        if (rc == 0)
            rc = note_piece(f, piece);
        if (rc != 0)
            return rc;
        p += size;
    }
    return 0;
}

/* ---- writing ------------------------------------------------------------------------------- */

struct number_out {
    const struct number_format *f;
    struct writer *w;
    int place;      /* digit places passed */
    bool has_digit; /* some digit was written before the point */
    bool sign_is_done;
};

static void
put_sign(struct number_out *o)
{
    const struct number_format *f = o->f;

    if (o->sign_is_done)
        return;
    o->sign_is_done = true;
    if (f->sign == SIGN_S_FRONT)
        wr_u8(o->w, f->is_negative ? '-' : '+');
    else if (f->sign == SIGN_PR && (f->is_negative || !f->no_fill))
        wr_u8(o->w, f->is_negative ? '<' : ' ');
    else if (f->sign == SIGN_INLINE && (f->is_negative || !f->no_fill))
        wr_u8(o->w, f->is_negative ? '-' : ' ');
}

/* A whole part of 0 is not written before a point unless the template has a 0 for it; with FM it
 * is when nothing follows the point. */
static bool
hides_zero(const struct number_format *f)
{
    if (f->overflows || f->zero_first >= 0 || f->post == 0 || f->whole_size != 1 ||
        f->whole[0] != '0')
        return false;
    return !(f->no_fill && f->fraction_size == 0);
}

static void
put_whole_digit(struct number_out *o)
{
    const struct number_format *f = o->f;
    int lead = f->overflows ? 0 : f->pre - f->whole_size, i = o->place;
    bool is_hidden = i >= lead && hides_zero(f);

    if (!is_hidden && (i >= lead || (f->zero_first >= 0 && i >= f->zero_first))) {
        put_sign(o);
        wr_u8(o->w, f->overflows ? '#' : i < lead ? '0' : f->whole[i - lead]);
        o->has_digit = true;
    } else if (!f->no_fill) {
        wr_u8(o->w, ' ');
    }
}

static void
put_closing(struct number_out *o)
{
    const struct number_format *f = o->f;

    if (f->sign == SIGN_PR && (f->is_negative || !f->no_fill))
        wr_u8(o->w, f->is_negative ? '>' : ' ');
    else if (f->sign == SIGN_S_BACK)
        wr_u8(o->w, f->is_negative ? '-' : '+');
}

static void
put_piece(struct number_out *o, enum piece piece, struct slice text)
{
    const struct number_format *f = o->f;
    int decimal = o->place - f->pre;

    switch (piece) {
    case P_NINE:
    case P_ZERO:
        if (o->place < f->pre)
            put_whole_digit(o);
        else if (f->overflows)
            wr_u8(o->w, '#');
        else if (decimal < f->fraction_size)
            wr_u8(o->w, f->fraction[decimal]);
        if (++o->place == f->pre + f->post)
            put_closing(o);
        break;
    case P_POINT:
        put_sign(o);
        if (f->post > 0)
            wr_u8(o->w, '.');
        break;
    case P_COMMA:
        if (o->has_digit)
            wr_u8(o->w, ',');
        else if (!f->no_fill)
            wr_u8(o->w, ' ');
        break;
    case P_MI:
    case P_PL:
        if ((piece == P_MI) == f->is_negative)
            wr_u8(o->w, piece == P_MI ? '-' : '+');
        else if (!f->no_fill)
            wr_u8(o->w, ' ');
        break;
    case P_SG:
        wr_u8(o->w, f->is_negative ? '-' : '+');
        break;
    case P_LITERAL:
        wr_slice(o->w, text);
        break;
    default:
        break;
    }
}

static int
put_number(const struct number_format *f, struct slice text, struct writer *w)
{
    const uint8_t *p = text.data, *end = p + text.size;
    struct number_out o = { .f = f, .w = w, .sign_is_done = f->sign == SIGN_APART };

    while (p < end) {
        enum piece piece;
        size_t size;
        int rc;
        if (*p == '"') {
            p = skip_quoted(p, end, w);
            continue;
        }
        rc = next_piece(p, end, &piece, &size);
        if (rc != 0)
            return rc;
        put_piece(&o, piece, slice(p, size));
        p += size;
    }
    return 0;
}

/* With FM zeros at the end of the fraction go, as far as the template has no 0 there. */
static void
trim_fraction(struct number_format *f)
{
    int least = f->zero_last > f->pre ? f->zero_last - f->pre : 0;

    while (f->no_fill && f->fraction_size > least && f->fraction[f->fraction_size - 1] == '0')
        f->fraction_size--;
}

static int
to_numeric(struct func_call *call, const struct datum *v, struct datum *out)
{
    switch (call->func->args[0]) {
    case TYPE_NUMERIC:
        *out = *v;
        return 0;
    case TYPE_FLOAT4:
    case TYPE_FLOAT8:
        return numeric_from_float(call->arena, v->f, call->func->args[0] == TYPE_FLOAT4 ? 6 : 15,
                                  out);
    default:
        *out = numeric_from_int(call->arena, v->i);
        return 0;
    }
}

int
fn_to_char_number(struct func_call *call, const struct datum *args, struct datum *out)
{
    struct number_format f;
    struct datum v;
    struct writer digits, w;
    const uint8_t *point;
    int rc;

    rc = read_template(&f, datum_view(&args[1]));
    if (rc == 0)
        rc = to_numeric(call, &args[0], &v);
    if (rc == 0 && numeric_is_special(&v))
        rc = DIAG(ERR_NOT_SUPPORTED, "to_char() of NaN and infinity is not supported");
    if (rc == 0)
        rc = numeric_round(call->arena, &v, f.post, &v);
    if (rc != 0)
        return rc;
    wr_init(&digits, 0);
    f.is_negative = numeric_sign(&v) < 0;
    if (call->func->args[0] == TYPE_FLOAT4 || call->func->args[0] == TYPE_FLOAT8)
        f.is_negative = args[0].f < 0; /* before it was rounded */
    v = numeric_abs(call->arena, &v);
    numeric_to_str(&v, &digits);
    point = memchr(digits.data, '.', digits.size);
    f.whole = digits.data;
    f.whole_size = (int)(point == NULL ? digits.size : (size_t)(point - digits.data));
    f.fraction = point == NULL ? NULL : point + 1;
    f.fraction_size = point == NULL ? 0 : (int)digits.size - f.whole_size - 1;
    f.overflows = f.whole_size > f.pre;
    trim_fraction(&f);
    wr_init(&w, TEXT_SIZE_MAX);
    rc = put_number(&f, datum_view(&args[1]), &w);
    wr_fini(&digits);
    if (rc == 0)
        return text_from_writer(call, &w, out);
    wr_fini(&w);
    return rc;
}
