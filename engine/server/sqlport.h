/* The contract between sessions and SQL lies in engine/sql, which may not include this room.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef ENGINE_SERVER_SQLPORT_H
#define ENGINE_SERVER_SQLPORT_H

#include "engine/sql/sqlport.h"

#endif
