/* SPDX-License-Identifier: Apache-2.0 */
/* Edit distance over short names, and the nearest of many. */
#include "base/nearest.h"

#include "base/assert.h"

static size_t least(size_t a, size_t b) {
    return a < b ? a : b;
}

size_t nearest_distance(struct slice a, struct slice b) {
    ASSERT(a.len <= NEAREST_LEN_MAX && b.len <= NEAREST_LEN_MAX);
    size_t rows[3][NEAREST_LEN_MAX + 1]; /* row i of the matrix is rows[i % 3] */
    for (size_t j = 0; j <= b.len; j++) {
        rows[0][j] = j;
    }
    for (size_t i = 1; i <= a.len; i++) {
        size_t *row = rows[i % 3];
        const size_t *above = rows[(i - 1) % 3];
        row[0] = i;
        for (size_t j = 1; j <= b.len; j++) {
            size_t replaced = above[j - 1] + (a.at[i - 1] != b.at[j - 1]);
            row[j] = least(replaced, least(above[j], row[j - 1]) + 1);
            if (i > 1 && j > 1 && a.at[i - 1] == b.at[j - 2] && a.at[i - 2] == b.at[j - 1]) {
                row[j] = least(row[j], rows[(i - 2) % 3][j - 2] + 1);
            }
        }
    }
    return rows[a.len % 3][b.len];
}

void nearest_init(struct nearest *nearest, struct slice wanted) {
    /* Near means that most letters are right: a third may be wrong, and one always. */
    *nearest = (struct nearest){.wanted = wanted, .distance = wanted.len / 3 + 2};
}

void nearest_offer(struct nearest *nearest, const char *name) {
    struct slice known = slice_of(name);
    if (nearest->wanted.len > NEAREST_LEN_MAX || known.len > NEAREST_LEN_MAX) {
        return;
    }
    size_t distance = nearest_distance(nearest->wanted, known);
    if (distance < nearest->distance) {
        nearest->distance = distance;
        nearest->best = name;
    }
}
