/* SPDX-License-Identifier: Apache-2.0 */
#include "crowd.h"

#include "base/assert.h"

#include <stdlib.h>

struct people {
    uint32_t size, first, len;
    uint32_t persons[];
};

static struct people *people_create(uint32_t size) {
    struct people *people = calloc(1, sizeof *people + size * sizeof people->persons[0]);
    if (people != NULL) {
        people->size = size;
    }
    return people;
}

static void people_add(struct people *people, uint32_t person) {
    ASSERT(people->len < people->size);
    people->persons[(people->first + people->len++) % people->size] = person;
}

static uint32_t people_take(struct people *people) {
    ASSERT(people->len > 0);
    uint32_t person = people->persons[people->first];
    people->first = (people->first + 1) % people->size;
    people->len--;
    return person;
}

bool crowd_init(struct crowd *crowd, const struct load *load, uint64_t seed) {
    *crowd = (struct crowd){.load = load, .people = (uint32_t)load->people,
                            .gates = (uint32_t)load->gates};
    seeded_rng_init(&crowd->rng, seed);
    crowd->first_bound = crowd->people - (uint32_t)(load->people * load->restricted);
    crowd->outside = people_create(crowd->people);
    crowd->inside = people_create(crowd->people);
    crowd->bound = people_create(crowd->people);
    crowd->last_ms = calloc(crowd->people, sizeof *crowd->last_ms);
    if (crowd->outside == NULL || crowd->inside == NULL || crowd->bound == NULL ||
        crowd->last_ms == NULL) {
        crowd_fini(crowd);
        return false;
    }
    for (uint32_t person = 0; person < crowd->people; person++) {
        people_add(person < crowd->first_bound ? crowd->outside : crowd->bound, person);
    }
    return true;
}

void crowd_fini(struct crowd *crowd) {
    free(crowd->outside);
    free(crowd->inside);
    free(crowd->bound);
    free(crowd->last_ms);
}

static enum kind_e draw_kind(struct crowd *crowd, const struct stream *stream) {
    double at = rng_unit(&crowd->rng.base) * stream->weight;
    int last = 0;
    for (int kind = 0; kind < KIND_COUNT; kind++) {
        if (stream->weights[kind] <= 0) {
            continue;
        }
        last = kind;
        if (at < stream->weights[kind]) {
            break;
        }
        at -= stream->weights[kind];
    }
    return (enum kind_e)last;
}

/* Whom a kind takes; NULL: nobody. */
static struct people *source_of(const struct crowd *crowd, enum kind_e kind) {
    switch (kind) {
    case KIND_ENTRY: /* under always, whoever is inside may come in again */
        if (crowd->load->reentry == REENTRY_ALWAYS && crowd->outside->len == 0) {
            return crowd->inside;
        }
        return crowd->outside->len > 0 ? crowd->outside : crowd->bound;
    case KIND_DOUBLE_TAP:
    case KIND_RESEND:
    case KIND_VISIT:
        return crowd->outside->len > 0 ? crowd->outside : crowd->bound;
    case KIND_EXIT:
    case KIND_DUPLICATE:
        return crowd->inside;
    case KIND_WRONG_GATE:
        return crowd->bound;
    case KIND_UNKNOWN_TOKEN:
    case KIND_READ_EVENT:
    case KIND_READ_GATES:
    case KIND_READ_STATS:
    case KIND_READ_TIMELINE:
    case KIND_READ_HISTORY:
    case KIND_READ_SEARCH:
    case KIND_READ_PARTICIPANT:
    case KIND_READ_PERFORMANCE:
    case KIND_COUNT:
        break;
    }
    return NULL;
}

/* What is played when nobody is there for `kind`. */
static enum kind_e instead_of(const struct crowd *crowd, const struct stream *stream,
                              enum kind_e kind) {
    if (kind == KIND_EXIT || kind == KIND_DUPLICATE) {
        bool comes_in = stream->weights[KIND_ENTRY] > 0 && source_of(crowd, KIND_ENTRY)->len > 0;
        return comes_in ? KIND_ENTRY : KIND_UNKNOWN_TOKEN;
    }
    if (crowd->inside->len == 0) {
        return KIND_UNKNOWN_TOKEN;
    }
    return stream->weights[KIND_EXIT] > 0 ? KIND_EXIT : KIND_DUPLICATE;
}

static uint16_t draw_gate(struct crowd *crowd) {
    return (uint16_t)rng_below(&crowd->rng.base, crowd->gates);
}

static uint16_t other_gate(struct crowd *crowd, uint16_t gate) {
    return (uint16_t)((gate + 1 + rng_below(&crowd->rng.base, crowd->gates - 1)) % crowd->gates);
}

struct turn crowd_turn(struct crowd *crowd, const struct stream *stream) {
    struct turn turn = {.kind = draw_kind(crowd, stream), .person = PERSON_NONE};
    struct people *source = source_of(crowd, turn.kind);
    if (source != NULL && source->len == 0) {
        crowd->substituted++;
        turn.kind = instead_of(crowd, stream, turn.kind);
        source = source_of(crowd, turn.kind);
    }
    turn.gate = draw_gate(crowd);
    if (source != NULL) {
        turn.person = people_take(source);
        if (turn.person >= crowd->first_bound) {
            turn.gate = (uint16_t)(turn.person % crowd->gates);
        }
    }
    turn.other_gate = other_gate(crowd, turn.gate);
    if (turn.kind == KIND_WRONG_GATE) {
        turn.gate = turn.other_gate;
    }
    return turn;
}

int64_t crowd_stamp(struct crowd *crowd, uint32_t person, int64_t wanted_ms) {
    if (person == PERSON_NONE) {
        return wanted_ms;
    }
    int64_t *last = &crowd->last_ms[person];
    *last = wanted_ms > *last ? wanted_ms : *last + 1;
    return *last;
}

void crowd_settle(struct crowd *crowd, const struct turn *turn, enum crowd_place_e place) {
    if (turn->person == PERSON_NONE) {
        return;
    }
    if (place == CROWD_INSIDE) {
        people_add(crowd->inside, turn->person);
        return;
    }
    /* Who has left under reentry none never comes in again. */
    if (crowd->load->reentry == REENTRY_NONE &&
        (turn->kind == KIND_EXIT || turn->kind == KIND_VISIT)) {
        return;
    }
    bool was_tried = turn->kind == KIND_WRONG_GATE; /* now to their own gate */
    people_add(turn->person >= crowd->first_bound && !was_tried ? crowd->bound : crowd->outside,
               turn->person);
}
