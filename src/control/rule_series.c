/* SPDX-License-Identifier: Apache-2.0 */
/* Each piece is read twice: once to count the samples, once to store them. */
#include "control/rule_series.h"

#include "control/snapshot.h"

#include <stdlib.h>

enum { PIECE_SIZE = 64 };

struct piece {
    double first, step; /* NAN: missing ones */
    bool has_step;
    size_t len;
};

/* A decimal number at the start of `text`, behind which `ret_rest` begins. strtod alone would take
 * hexadecimal, inf, nan and white space. */
static bool read_number(const char *text, double *ret_number, const char **ret_rest) {
    char *end;
    const char *digits = text + (text[0] == '-' || text[0] == '+');
    if (strchr("0123456789.", digits[0]) == NULL || digits[0] == '\0') {
        return false;
    }
    *ret_number = strtod(text, &end);
    *ret_rest = end;
    return isfinite(*ret_number);
}

/* "5", "5+2", "5-2" or "_", without its "xN". */
static bool read_value(const char *text, struct piece *ret_piece) {
    *ret_piece = (struct piece){.first = FIGURE_MISSING, .len = 1};
    if (strcmp(text, "_") == 0) {
        return true;
    }
    const char *rest;
    if (!read_number(text, &ret_piece->first, &rest)) {
        return false;
    }
    ret_piece->has_step = *rest == '+' || *rest == '-';
    return (!ret_piece->has_step || read_number(rest, &ret_piece->step, &rest)) && *rest == '\0';
}

static bool read_piece(struct slice word, struct piece *ret_piece) {
    char text[PIECE_SIZE];
    if (!slice_to_cstr(word, text, sizeof text)) {
        return false;
    }
    char *times = strchr(text, 'x');
    if (times != NULL) {
        *times++ = '\0';
    }
    if (!read_value(text, ret_piece) || (ret_piece->has_step && times == NULL)) {
        return false;
    }
    int64_t more = 0;
    if (times != NULL && !slice_to_int(slice_of(times), 0, RULE_SERIES_MAX, &more)) {
        return false;
    }
    bool is_missing = !figure_is_known(ret_piece->first);
    ret_piece->len = times == NULL ? 1 : (size_t)more + (is_missing ? 0 : 1);
    return true;
}

static bool next_word(struct slice *rest, struct slice *ret_word) {
    *rest = slice_trim(*rest);
    size_t len = 0;
    while (len < rest->len && rest->at[len] != ' ' && rest->at[len] != '\t') {
        len++;
    }
    *ret_word = slice_from(rest->at, len);
    *rest = slice_skip(*rest, len);
    return len > 0;
}

static enum err_e count(struct slice text, size_t *ret_len, struct problem *ret_problem) {
    struct slice rest = text, word;
    struct piece piece;
    *ret_len = 0;
    while (next_word(&rest, &word)) {
        if (!read_piece(word, &piece)) {
            return problem_set(ret_problem, ERR_INVALID_FIELD, "",
                               "\"%.*s\": expected 5, 5x3, 5+2x3, 5-2x3, _ or _x3",
                               (int)(word.len < PIECE_SIZE ? word.len : PIECE_SIZE), word.at);
        }
        *ret_len += piece.len;
        if (*ret_len > RULE_SERIES_MAX) {
            return problem_set(ret_problem, ERR_INVALID_FIELD, "", "more than %d samples",
                               RULE_SERIES_MAX);
        }
    }
    return *ret_len > 0 ? ERR_OK
                        : problem_set(ret_problem, ERR_INVALID_FIELD, "", "no sample at all");
}

enum err_e rule_series_read(struct arena *arena, struct slice text, struct rule_series *ret_series,
                            struct problem *ret_problem) {
    struct slice rest = text, word;
    struct piece piece;
    size_t len, at = 0;
    TRY(count(text, &len, ret_problem));
    double *samples = arena_alloc(arena, len * sizeof *samples);
    if (samples == NULL) {
        return problem_set(ret_problem, ERR_NO_MEMORY, "", "it takes too much memory");
    }
    while (next_word(&rest, &word) && read_piece(word, &piece)) {
        for (size_t i = 0; i < piece.len; i++) {
            samples[at++] = piece.first + piece.step * (double)i;
        }
    }
    *ret_series = (struct rule_series){samples, len};
    return ERR_OK;
}
