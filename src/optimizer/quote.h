/* SPDX-License-Identifier: Apache-2.0 */
/* SQL identifiers in quotes where PostgreSQL needs them. Pure; thread: any. */
#ifndef TURNOUT_OPTIMIZER_QUOTE_H
#define TURNOUT_OPTIMIZER_QUOTE_H

#include "base/buf.h"

/* Appends `name` as SQL: bare when it is in lower case and no key word, else "in ""quotes""". */
void quote_identifier(struct buf *to, struct slice name);

#endif
