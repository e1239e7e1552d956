/* A folder of a test's own.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef TESTS_SUPPORT_FOLDER_H
#define TESTS_SUPPORT_FOLDER_H

#include <stddef.h>

/* Made anew, its path in `out`: in /tmp, or in the folder that TEST_DIR names. */
void test_folder(char *out, size_t size, const char *name);

#endif
