/* SPDX-License-Identifier: Apache-2.0 */
/* What time_parse takes, time_format writes, and that parses to the same moment. */
#include "base/assert.h"
#include "base/clock.h"
#include "fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    int64_t ms = TIME_NONE;
    if (!time_parse(slice_from((const char *)data, size), &ms)) {
        return 0;
    }
    ASSERT(ms >= TIME_MIN_MS && ms <= TIME_MAX_MS);
    char text[TIME_TEXT_SIZE];
    time_format(ms, text);
    int64_t again = TIME_NONE;
    ASSERT(time_parse(slice_of(text), &again));
    ASSERT(again == ms);
    return 0;
}
