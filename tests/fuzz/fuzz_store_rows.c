/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Rows as PostgreSQL may send them: the first byte picks who reads them, the rest are columns, each
 * with its length in front (255: NULL). Whatever lengths and words they have, a reader copies what
 * is there and nothing else, and an enum is one of its values.
 */
#include "base/assert.h"
#include "fuzz.h"
#include "store/postgres_priv.h"

enum { COLUMNS = 24, ROWS = 4 };

static PGresult *rows_of(const uint8_t *data, size_t size) {
    static PGresAttDesc columns[COLUMNS];
    PGresult *result = PQmakeEmptyPGresult(NULL, PGRES_TUPLES_OK);
    ASSERT(result != NULL);
    for (int i = 0; i < COLUMNS; i++) {
        columns[i].name = (char *)(uintptr_t)"c"; /* it is copied */
    }
    ASSERT(PQsetResultAttrs(result, COLUMNS, columns) != 0);
    for (int cell = 0; cell < ROWS * COLUMNS && size > 0; cell++) {
        int len = data[0] == 255 ? -1 : data[0];
        size_t has = len > 0 ? (size_t)len : 0;
        has = has < size - 1 ? has : size - 1;
        char bytes[256];
        memcpy(bytes, data + 1, has);
        ASSERT(PQsetvalue(result, cell / COLUMNS, cell % COLUMNS, bytes,
                          len < 0 ? -1 : (int)has) != 0);
        data += 1 + has;
        size -= 1 + has;
    }
    return result;
}

static void check_person(const struct participant *person) {
    ASSERT(participant_status_text(person->status) != NULL);
    ASSERT(person->token.len <= 255 && person->name.len <= 255);
}

static void read_row(unsigned who, struct pg_rows *rows, struct arena *arena) {
    struct event event;
    struct gate gate;
    struct participant person;
    struct attendance_record record;
    struct api_key key;
    struct standing standing;
    switch (who % 7) {
    case 0:
        ASSERT(pg_row_event(rows, arena, &event));
        ASSERT(reentry_text(event.reentry) != NULL);
        break;
    case 1:
        ASSERT(pg_row_gate(rows, arena, &gate));
        ASSERT(gate_status_text(gate.status) != NULL);
        break;
    case 2:
        ASSERT(pg_row_participant(rows, arena, &person));
        check_person(&person);
        break;
    case 3:
        pg_see_person(rows, &person);
        break;
    case 4:
        pg_see_standing(rows, &standing);
        break;
    case 5:
        ASSERT(pg_row_record(rows, arena, &record));
        break;
    case 6:
        ASSERT(pg_row_key(rows, arena, &key));
        break;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct arena arena;
    if (size == 0) {
        return 0;
    }
    arena_init(&arena, (size_t)1 << 20);
    PGresult *result = rows_of(data + 1, size - 1);
    struct pg_rows rows = {.result = result, .row = -1};
    while (pg_next(&rows)) {
        read_row(data[0], &rows, &arena);
    }
    PQclear(result);
    arena_fini(&arena);
    return 0;
}
