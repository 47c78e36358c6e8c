/* SPDX-License-Identifier: Apache-2.0 */
/* The end of a process that found itself in a state that cannot be. */
#include "base/assert.h"

#include <stdio.h>
#include <stdlib.h>

void assert_fail(const char *expression, const char *file, int line) {
    fprintf(stderr, "level=fatal msg=\"assertion failed\" expr=\"%s\" at=%s:%d\n", expression, file,
            line);
    abort();
}
