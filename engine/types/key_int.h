/* Parts of the key encoding that have a file of their own.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef ENGINE_TYPES_KEY_INT_H
#define ENGINE_TYPES_KEY_INT_H

#include "engine/types/key.h"

/* numeric: see the table in key_numeric.c. */
void key_put_numeric(struct writer *w, const struct datum *d);
MUST_CHECK
int key_get_numeric(struct reader *r, struct arena *a, struct datum *out);
MUST_CHECK
int key_corrupt(void);

#endif
