/* Redo records for tests: one of each kind, and every decoder there is.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef TESTS_SUPPORT_REDO_RECORDS_H
#define TESTS_SUPPORT_REDO_RECORDS_H

#include "engine/redo/record.h"

/* One of each kind, in the order of their numbers. */
void redo_records_write(struct writer *w);
/* Decodes one record with every decoder that could be meant; prints it, too. */
void redo_records_decode(const struct redo_record *rec, struct writer *text);

#endif
