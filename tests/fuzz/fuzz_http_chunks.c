/* SPDX-License-Identifier: Apache-2.0 */
/* A chunked body is read alike however it comes: in one piece or byte by byte. */
#include "base/assert.h"
#include "fuzz.h"
#include "http/chunks_priv.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct slice body = slice_from((const char *)data, size);
    struct chunks whole;
    chunks_init(&whole);
    size_t used;
    enum chunks_e outcome = chunks_read(&whole, body, &used);
    ASSERT(used <= size && (outcome != CHUNKS_MORE || used == size));
    ASSERT(whole.data + whole.framing == used);
    struct chunks bytewise;
    chunks_init(&bytewise);
    enum chunks_e same = CHUNKS_MORE;
    size_t total = 0;
    while (total < size && same == CHUNKS_MORE) {
        size_t one;
        same = chunks_read(&bytewise, slice_from(body.at + total, 1), &one);
        total += one;
    }
    ASSERT(same == outcome && total == used && bytewise.data == whole.data);
    return 0;
}
