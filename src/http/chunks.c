/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A chunked body, byte by byte but for its data.
 *
 *            hex                        ;              text
 *   SIZE ─────────► SIZE_MORE ──────────────► EXTENSION ────► itself
 *    ▲                  │ CR                     │ CR
 *    │                  ▼                        │
 *    │              SIZE_LF ◄────────────────────┘
 *    │                  │ LF, size > 0                 │ LF, size 0
 *    │                  ▼                              ▼
 *    └── LF DATA_LF ◄── DATA_CR ◄── DATA           TRAILER ── CR ─► END_LF ── LF ─► the end
 *                    CR                             │    ▲
 *                                             token ▼    │ LF
 *                                           TRAILER_NAME │
 *                                                 : ▼    │
 *                                        TRAILER_VALUE ─► TRAILER_LF
 *                                                      CR
 */
#include "http/chunks_priv.h"

#include "base/assert.h"
#include "http/head_priv.h"

enum state_e {
    SIZE,
    SIZE_MORE,
    EXTENSION,
    SIZE_LF,
    DATA,
    DATA_CR,
    DATA_LF,
    TRAILER,
    TRAILER_NAME,
    TRAILER_VALUE,
    TRAILER_LF,
    END_LF,
    END,
    BROKEN,
};

/* 15 digits cannot overflow; libh2o counts up to 16. */
enum { SIZE_DIGITS_MAX = 15 };

void chunks_init(struct chunks *chunks) {
    *chunks = (struct chunks){.state = SIZE};
}

static int hex_digit(char c) {
    if (c >= '0' && c <= '9') {
        return c - '0';
    }
    char lower = (char)(c | 0x20);
    return lower >= 'a' && lower <= 'f' ? lower - 'a' + 10 : -1;
}

static enum state_e on_size(struct chunks *chunks, char c) {
    int digit = hex_digit(c);
    if (digit >= 0) {
        chunks->left = chunks->left * 16 + (uint64_t)digit;
        return ++chunks->digits > SIZE_DIGITS_MAX ? BROKEN : SIZE_MORE;
    }
    if (chunks->digits == 0) {
        return BROKEN;
    }
    return c == ';' ? EXTENSION : c == '\r' ? SIZE_LF : BROKEN;
}

static enum state_e on_size_lf(struct chunks *chunks, char c) {
    if (c != '\n') {
        return BROKEN;
    }
    chunks->digits = 0;
    return chunks->left > 0 ? DATA : TRAILER;
}

static enum state_e on_text(char c, enum state_e same, enum state_e after) {
    return c == '\r' ? after : head_is_text_char((unsigned char)c) ? same : BROKEN;
}

static enum state_e on_trailer(char c) {
    return c == '\r' ? END_LF : head_is_token_char((unsigned char)c) ? TRAILER_NAME : BROKEN;
}

static enum state_e on_trailer_name(char c) {
    return c == ':' ? TRAILER_VALUE : head_is_token_char((unsigned char)c) ? TRAILER_NAME : BROKEN;
}

/* One byte of framing. */
static enum state_e step(struct chunks *chunks, char c) {
    switch ((enum state_e)chunks->state) {
    case SIZE:
    case SIZE_MORE:
        return on_size(chunks, c);
    case EXTENSION:
        return on_text(c, EXTENSION, SIZE_LF);
    case SIZE_LF:
        return on_size_lf(chunks, c);
    case DATA_CR:
        return c == '\r' ? DATA_LF : BROKEN;
    case DATA_LF:
        return c == '\n' ? SIZE : BROKEN;
    case TRAILER:
        return on_trailer(c);
    case TRAILER_NAME:
        return on_trailer_name(c);
    case TRAILER_VALUE:
        return on_text(c, TRAILER_VALUE, TRAILER_LF);
    case TRAILER_LF:
        return c == '\n' ? TRAILER : BROKEN;
    case END_LF:
        return c == '\n' ? END : BROKEN;
    case DATA:
    case END:
    case BROKEN:
        break;
    }
    UNREACHABLE();
}

static size_t skip_data(struct chunks *chunks, size_t available) {
    size_t taken = available < chunks->left ? available : (size_t)chunks->left;
    chunks->left -= taken;
    chunks->data += taken;
    if (chunks->left == 0) {
        chunks->state = DATA_CR;
    }
    return taken;
}

enum chunks_e chunks_read(struct chunks *chunks, struct slice input, size_t *ret_used) {
    size_t used = 0;
    while (used < input.len && chunks->state != END && chunks->state != BROKEN) {
        if (chunks->state == DATA) {
            used += skip_data(chunks, input.len - used);
            continue;
        }
        chunks->state = step(chunks, input.at[used++]);
        if (++chunks->framing > CHUNKS_FRAMING_MAX + chunks->data) {
            chunks->state = BROKEN;
        }
    }
    *ret_used = used;
    if (chunks->state == END) {
        return CHUNKS_END;
    }
    return chunks->state == BROKEN ? CHUNKS_BROKEN : CHUNKS_MORE;
}
