/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/types/text_int.h"

int
slice_print_size(struct slice s)
{
    return (int)chars_clip(s, 200);
}

struct slice
slice_trim_space(struct slice s)
{
    while (s.size > 0 && ascii_is_space(s.data[0])) {
        s.data++;
        s.size--;
    }
    while (s.size > 0 && ascii_is_space(s.data[s.size - 1]))
        s.size--;
    return s;
}

bool
slice_eq_nocase(struct slice s, const char *lower)
{
    if (s.size != strlen(lower))
        return false;
    for (size_t i = 0; i < s.size; i++) {
        if (ascii_lower(s.data[i]) != (uint8_t)lower[i])
            return false;
    }
    return true;
}

int
scan_digits(const uint8_t **at, const uint8_t *end, int max, int64_t *value)
{
    const uint8_t *p = *at;
    int64_t v = 0;
    int n = 0;

    while (p < end && n < max && ascii_is_digit(*p)) {
        v = v * 10 + (*p++ - '0');
        n++;
    }
    *at = p;
    *value = v;
    return n;
}

static const char digit_pairs[201] = "00010203040506070809"
                                     "10111213141516171819"
                                     "20212223242526272829"
                                     "30313233343536373839"
                                     "40414243444546474849"
                                     "50515253545556575859"
                                     "60616263646566676869"
                                     "70717273747576777879"
                                     "80818283848586878889"
                                     "90919293949596979899";

size_t
format_uint(uint64_t v, uint8_t *out)
{
    uint8_t buf[20];
    size_t at = 20;

    while (v >= 100) {
        memcpy(buf + (at -= 2), digit_pairs + v % 100 * 2, 2);
        v /= 100;
    }
    if (v >= 10)
        memcpy(buf + (at -= 2), digit_pairs + v * 2, 2);
    else
        buf[--at] = (uint8_t)('0' + v);
    memcpy(out, buf + at, 20 - at);
    return 20 - at;
}

size_t
format_int(int64_t v, uint8_t *out)
{
    if (v >= 0)
        return format_uint((uint64_t)v, out);
    *out = '-';
    return 1 + format_uint(-(uint64_t)v, out + 1); /* at most 19 digits */
}

void
wr_int(struct writer *w, int64_t v)
{
    uint8_t buf[20];

    wr_bytes(w, buf, format_int(v, buf));
}

void
wr_int_padded(struct writer *w, int64_t v, int width)
{
    uint8_t buf[20];
    size_t n = format_uint((uint64_t)v, buf);

    for (size_t i = n; i < (size_t)width; i++)
        wr_u8(w, '0');
    wr_bytes(w, buf, n);
}

void
wr_str(struct writer *w, const char *s)
{
    wr_bytes(w, s, strlen(s));
}
