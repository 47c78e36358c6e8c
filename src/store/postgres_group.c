/* SPDX-License-Identifier: Apache-2.0 */
/* What a group of scans is about, gathered and fetched. */
#include "store/postgres_group_priv.h"

/* ── names ── */

static bool names_init(struct pg_names *names, struct arena *arena, size_t most) {
    *names = (struct pg_names){.slots_len = 16};
    while (names->slots_len < 2 * most) {
        names->slots_len *= 2;
    }
    names->items = arena_alloc(arena, most * sizeof *names->items);
    names->slots = arena_zalloc(arena, names->slots_len * sizeof *names->slots);
    return names->items != NULL && names->slots != NULL;
}

/* The name's number; a new name gets the next. */
static size_t names_place(struct pg_names *names, size_t event, struct slice text) {
    uint64_t hash = slice_hash(text) + event * 0x9e3779b97f4a7c15ULL;
    for (size_t at = hash >> 20;; at++) {
        uint32_t *slot = &names->slots[at & (names->slots_len - 1)];
        if (*slot == 0) {
            names->items[names->len] = (struct pg_name){event, text};
            *slot = (uint32_t)++names->len;
        }
        const struct pg_name *name = &names->items[*slot - 1];
        if (name->event == event && slice_eq(name->text, text)) {
            return *slot - 1;
        }
    }
}

/* ── minutes ── */

static bool minutes_init(struct pg_minutes *minutes, struct arena *arena, size_t most) {
    *minutes = (struct pg_minutes){.slots_len = 16};
    while (minutes->slots_len < 2 * most) {
        minutes->slots_len *= 2;
    }
    minutes->items = arena_alloc(arena, most * sizeof *minutes->items);
    minutes->slots = arena_zalloc(arena, minutes->slots_len * sizeof *minutes->slots);
    return minutes->items != NULL && minutes->slots != NULL;
}

struct pg_gate_counts *pg_group_minute(struct pg_group *group, size_t gate, int64_t minute) {
    struct pg_minutes *minutes = &group->minutes;
    uint64_t hash = ((uint64_t)minute * 0x9e3779b97f4a7c15ULL + gate) * 0xff51afd7ed558ccdULL;
    for (size_t at = hash >> 20;; at++) {
        uint32_t *slot = &minutes->slots[at & (minutes->slots_len - 1)];
        if (*slot == 0) {
            minutes->items[minutes->len] = (struct pg_group_minute){.gate = gate,
                                                                    .minute = minute};
            *slot = (uint32_t)++minutes->len;
        }
        struct pg_group_minute *item = &minutes->items[*slot - 1];
        if (item->gate == gate && item->minute == minute) {
            return &item->counts;
        }
    }
}

/* ── what the scans name ── */

static bool gather(struct pg_group *group) {
    struct arena *arena = &group->w->arena;
    size_t most = group->scans->len;
    group->about = arena_alloc(arena, most * sizeof *group->about);
    if (group->about == NULL || !names_init(&group->event_names, arena, most) ||
        !names_init(&group->gate_names, arena, most) ||
        !names_init(&group->person_names, arena, most) ||
        !names_init(&group->nonce_names, arena, most) ||
        !minutes_init(&group->minutes, arena, most)) {
        return false;
    }
    for (size_t i = 0; i < most; i++) {
        const struct pg_scan *item = &group->scans->items[i];
        struct pg_group_scan *about = &group->about[i];
        about->event = names_place(&group->event_names, 0, item->op->event);
        about->gate = names_place(&group->gate_names, about->event, item->scan->gate);
        about->person = names_place(&group->person_names, about->event, item->scan->token);
        about->nonce = item->scan->nonce.len == 0 ? SIZE_MAX
                                                  : names_place(&group->nonce_names, about->event,
                                                                item->scan->nonce);
    }
    group->events = arena_zalloc(arena, group->event_names.len * sizeof *group->events);
    group->gates = arena_zalloc(arena, group->gate_names.len * sizeof *group->gates);
    group->people = arena_zalloc(arena, group->person_names.len * sizeof *group->people);
    group->nonces = arena_zalloc(arena, (group->nonce_names.len + 1) * sizeof *group->nonces);
    return group->events != NULL && group->gates != NULL && group->people != NULL &&
           group->nonces != NULL;
}

/* ── ids of events: they never change, so a writer remembers them ── */

static int64_t known_event(const struct pg_writer *w, struct slice code) {
    const struct pg_known_event *event = w->known[slice_hash(code) % PG_KNOWN_BUCKETS];
    while (event != NULL && !slice_eq(event->code, code)) {
        event = event->next;
    }
    return event == NULL ? 0 : event->id;
}

/* Without memory the event is asked for again next time. */
static void remember_event(struct pg_writer *w, int64_t id, struct slice code) {
    struct pg_known_event *event = arena_alloc(&w->known_arena, sizeof *event);
    struct slice own = arena_copy(&w->known_arena, code);
    if (event != NULL && own.at != NULL) {
        struct pg_known_event **bucket = &w->known[slice_hash(code) % PG_KNOWN_BUCKETS];
        *event = (struct pg_known_event){*bucket, own, id};
        *bucket = event;
    }
}

void pg_forget_known(struct pg_writer *w) {
    memset(w->known, 0, sizeof w->known);
    memset(w->known_gates, 0, sizeof w->known_gates);
    arena_reset(&w->known_arena);
}

/* Looks up the events that are not known; whatever is not found then does not exist. */
MAY_BLOCK static enum err_e find_events(struct pg_group *group) {
    struct pg_writer *w = group->w;
    struct pg_array codes;
    struct pg_args args;
    pg_array_init(&codes, PG_TEXT);
    for (size_t i = 0; i < group->event_names.len; i++) {
        if (known_event(w, group->event_names.items[i].text) == 0) {
            pg_push_text(&codes, group->event_names.items[i].text);
        }
    }
    enum err_e err = ERR_OK;
    if (codes.count > 0) {
        pg_args_init(&args);
        err = pg_arg_array(&args, &codes) ? ERR_OK : ERR_NO_MEMORY;
        size_t place = err == ERR_OK ? pg_put(&w->conn, PG_SQL_EVENT_IDS, &args) : 0;
        err = err == ERR_OK ? pg_run(&w->conn) : err;
        struct pg_rows rows = {.row = -1};
        rows = err == ERR_OK ? pg_rows_of(&w->conn, place) : rows;
        while (pg_next(&rows)) {
            int64_t id = pg_get_int(&rows);
            remember_event(w, id, pg_get_text(&rows));
        }
    }
    pg_array_fini(&codes);
    return err;
}

/* ── one round trip ── */

struct places {
    size_t events, gates, people, nonces, ids;
};

/* The ids of the names' events and the texts, as two parameters. */
static bool add_names(const struct pg_group *group, const struct pg_names *names,
                      struct pg_array arrays[2], struct pg_args *args) {
    pg_array_clear(&arrays[0]);
    pg_array_clear(&arrays[1]);
    for (size_t i = 0; i < names->len; i++) {
        pg_push_int(&arrays[0], group->events[names->items[i].event].event.id);
        pg_push_text(&arrays[1], names->items[i].text);
    }
    pg_args_init(args);
    return pg_arg_array(args, &arrays[0]) && pg_arg_array(args, &arrays[1]);
}

static enum err_e put_names(struct pg_group *group, struct pg_array arrays[2],
                            struct places *ret_places) {
    struct pg_conn *conn = &group->w->conn;
    struct pg_args args;
    if (!add_names(group, &group->gate_names, arrays, &args)) {
        return ERR_NO_MEMORY;
    }
    ret_places->gates = pg_put(conn, PG_SQL_GROUP_GATES, &args);
    if (!add_names(group, &group->person_names, arrays, &args)) {
        return ERR_NO_MEMORY;
    }
    ret_places->people = pg_put(conn, PG_SQL_GROUP_PEOPLE, &args);
    if (group->nonce_names.len > 0) {
        if (!add_names(group, &group->nonce_names, arrays, &args)) {
            return ERR_NO_MEMORY;
        }
        ret_places->nonces = pg_put(conn, PG_SQL_GROUP_NONCES, &args);
    }
    pg_args_init(&args);
    pg_arg_int(&args, (int64_t)group->scans->len);
    ret_places->ids = pg_put(conn, PG_SQL_RECORD_IDS, &args);
    return ERR_OK;
}

/* The lock comes first, so that all behind it see what was committed before it was given. */
static enum err_e put_all(struct pg_group *group, struct places *ret_places) {
    struct pg_conn *conn = &group->w->conn;
    struct pg_array arrays[2];
    struct pg_args args;
    pg_array_init(&arrays[0], PG_BIGINT);
    pg_array_init(&arrays[1], PG_TEXT);
    for (size_t i = 0; i < group->event_names.len; i++) {
        group->events[i].event.id = known_event(group->w, group->event_names.items[i].text);
        pg_push_int(&arrays[0], group->events[i].event.id);
    }
    pg_args_init(&args);
    enum err_e err = pg_arg_array(&args, &arrays[0]) ? ERR_OK : ERR_NO_MEMORY;
    if (err == ERR_OK) {
        pg_put(conn, PG_SQL_EVENTS_LOCK, &args);
        ret_places->events = pg_put(conn, PG_SQL_GROUP_EVENTS, &args);
        err = put_names(group, arrays, ret_places);
    }
    pg_array_fini(&arrays[0]);
    pg_array_fini(&arrays[1]);
    return err;
}

/* ── reading what came ── */

static size_t number_of(struct pg_rows *rows, size_t len) {
    size_t number = (size_t)(pg_get_int(rows) - 1);
    ASSERT(number < len);
    return number;
}

static void read_events(struct pg_group *group, struct pg_rows rows) {
    while (pg_next(&rows)) {
        struct pg_group_event *event = &group->events[number_of(&rows, group->event_names.len)];
        event->known = true;
        event->event.id = pg_get_int(&rows);
        event->event.capacity = pg_get_int_or(&rows, CAPACITY_NONE);
        bool known = reentry_parse(pg_get_text(&rows), &event->event.reentry);
        ASSERT(known); /* a CHECK keeps others out */
        event->inside = pg_get_int(&rows);
    }
}

static void read_gates(struct pg_group *group, struct pg_rows rows) {
    while (pg_next(&rows)) {
        struct pg_group_gate *gate = &group->gates[number_of(&rows, group->gate_names.len)];
        gate->known = true;
        gate->gate.id = pg_get_int(&rows);
        gate->gate.code = pg_get_text(&rows);
        gate->gate.name = pg_get_text(&rows);
        bool known = gate_status_parse(pg_get_text(&rows), &gate->gate.status);
        ASSERT(known);
    }
}

static void read_people(struct pg_group *group, struct pg_rows rows) {
    while (pg_next(&rows)) {
        struct pg_group_person *person =
            &group->people[number_of(&rows, group->person_names.len)];
        person->known = true;
        pg_see_person(&rows, &person->person);
        pg_see_standing(&rows, &person->standing);
        person->has_row = person->standing.last_id != 0;
    }
}

static void read_nonces(struct pg_group *group, struct pg_rows rows) {
    group->nonce_rows = rows;
    while (pg_next(&rows)) {
        struct pg_group_nonce *nonce = &group->nonces[number_of(&rows, group->nonce_names.len)];
        nonce->state = pg_get_int(&rows) == 0 ? PG_NONCE_ORPHAN : PG_NONCE_STORED;
        nonce->row = rows.row;
    }
}

/* ── codes of gates: likewise ── */

struct slice pg_known_gate_code(const struct pg_writer *w, int64_t id) {
    const struct pg_known_gate *gate = w->known_gates[(uint64_t)id % PG_KNOWN_BUCKETS];
    while (gate != NULL && gate->id != id) {
        gate = gate->next;
    }
    return gate == NULL ? SLICE_NONE : gate->code;
}

static bool remember_gate(struct pg_writer *w, int64_t id, struct slice code) {
    struct pg_known_gate *gate = arena_alloc(&w->known_arena, sizeof *gate);
    struct slice own = arena_copy(&w->known_arena, code);
    if (gate == NULL || own.at == NULL) {
        return false;
    }
    struct pg_known_gate **bucket = &w->known_gates[(uint64_t)id % PG_KNOWN_BUCKETS];
    *gate = (struct pg_known_gate){*bucket, id, own};
    *bucket = gate;
    return true;
}

static void push_unknown_gate(const struct pg_writer *w, int64_t id, struct pg_array *ids) {
    if (id != 0 && pg_known_gate_code(w, id).at == NULL) {
        pg_push_int(ids, id);
    }
}

MAY_BLOCK static enum err_e learn_gates(struct pg_writer *w, struct pg_array *ids) {
    struct pg_args args;
    pg_args_init(&args);
    if (!pg_arg_array(&args, ids)) {
        return ERR_NO_MEMORY;
    }
    size_t place = pg_put(&w->conn, PG_SQL_GATE_CODES_BY_ID, &args);
    TRY(pg_run(&w->conn));
    struct pg_rows rows = pg_rows_of(&w->conn, place);
    while (pg_next(&rows)) {
        int64_t id = pg_get_int(&rows);
        if (!remember_gate(w, id, pg_get_text(&rows))) {
            pg_forget_known(w); /* the next group begins anew */
            return ERR_NO_MEMORY;
        }
    }
    return ERR_OK;
}

/* Gates that stored standings name: each is asked for once in the life of a connection. */
MAY_BLOCK static enum err_e find_gates(const struct pg_group *group, bool *ret_asked) {
    struct pg_array ids;
    pg_array_init(&ids, PG_BIGINT);
    for (size_t i = 0; i < group->person_names.len; i++) {
        const struct standing *standing = &group->people[i].standing;
        push_unknown_gate(group->w, standing->last_gate, &ids);
        push_unknown_gate(group->w, standing->first_gate, &ids);
    }
    *ret_asked = ids.count > 0;
    enum err_e err = *ret_asked ? learn_gates(group->w, &ids) : ERR_OK;
    pg_array_fini(&ids);
    return err;
}

MAY_BLOCK static enum err_e fetch(struct pg_group *group) {
    struct pg_writer *w = group->w;
    struct places places = {.events = 0};
    TRY(put_all(group, &places));
    TRY(pg_run(&w->conn));
    read_events(group, pg_rows_of(&w->conn, places.events));
    read_gates(group, pg_rows_of(&w->conn, places.gates));
    read_people(group, pg_rows_of(&w->conn, places.people));
    if (group->nonce_names.len > 0) {
        read_nonces(group, pg_rows_of(&w->conn, places.nonces));
    }
    group->ids = pg_rows_of(&w->conn, places.ids);
    return ERR_OK;
}

MAY_BLOCK enum err_e pg_group_fetch(struct pg_group *group, struct pg_writer *w,
                                    const struct pg_scans *scans) {
    *group = (struct pg_group){.w = w, .scans = scans};
    bool asked = false;
    if (!gather(group)) {
        return ERR_NO_MEMORY;
    }
    TRY(find_events(group));
    TRY(fetch(group));
    TRY(find_gates(group, &asked));
    return asked ? fetch(group) : ERR_OK; /* that let go of the rows */
}
