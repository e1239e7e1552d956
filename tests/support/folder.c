/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/folder.h"

#include <stdio.h>
#include <stdlib.h>

#include "engine/base/err.h"

void
test_folder(char *out, size_t size, const char *name)
{
    const char *above = getenv("TEST_DIR");
    int need = snprintf(out, size, "%s/%s-XXXXXX", above != NULL ? above : "/tmp", name);

    CHECK(need > 0 && (size_t)need < size);
    CHECK(mkdtemp(out) != NULL);
}
