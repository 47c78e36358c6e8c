/* SPDX-License-Identifier: Apache-2.0 */
/*
 * W-TinyLFU (Einziger, Friedman, Manes, "TinyLFU: A Highly Efficient Cache Admission Policy", ACM
 * Transactions on Storage 2017) with a window that adapts by hill climbing (Einziger, Eytan,
 * Friedman, Manes, "Adaptive Software Cache Management", Middleware 2018).
 *
 *     new ──► window (LRU) ──candidate──┐ the more frequent one stays
 *                                       ├─► probation (LRU) ──hit──► protected (LRU)
 *                     probation's oldest┘          ▲────── its oldest, when it is full
 *
 * Frequencies are four-bit counts in a count-min sketch of four rows, halved after ten accesses per
 * entry. Hits arrive through the readers' rings.
 */
#include "cache/l1_hash_priv.h"
#include "cache/l1_list_priv.h"

enum {
    PROTECTED_PERCENT = 80, /* of what is not the window */
    AGE_TURNS = 10,         /* accesses per entry until counts are halved */
    CLIMB_TURNS = 10,       /* accesses per entry between two steps of the window */
    ROWS = 4,
};

enum region_e { REGION_WINDOW, REGION_PROBATION, REGION_PROTECTED, REGION_COUNT };

struct climber {
    uint32_t seen;
    uint32_t hits;
    double last_ratio;
    double step; /* of the window, in entries; negative shrinks it */
};

struct tinylfu {
    struct policy_view view;
    struct list regions[REGION_COUNT];
    uint8_t *region_of; /* by id */
    uint64_t *sketch;   /* capacity words of 16 counts */
    uint32_t window_target;
    uint32_t counted; /* since counts were halved */
    struct climber climber;
};

static const double first_step = 0.0625;   /* of the capacity */
static const double step_decay = 0.98;     /* as it comes to rest */
static const double restart_change = 0.05; /* of the hit ratio: the load is another one */

static void tinylfu_lay(struct tinylfu *lfu, struct policy_view view, struct carve *carve) {
    lfu->view = view;
    struct list_link *links = carve_take(carve, view.capacity, sizeof *links);
    for (int i = 0; i < REGION_COUNT; i++) {
        list_init(&lfu->regions[i], links);
    }
    lfu->region_of = carve_take(carve, view.capacity, sizeof *lfu->region_of);
    lfu->sketch = carve_take(carve, view.capacity, sizeof *lfu->sketch);
}

static size_t tinylfu_size(uint32_t capacity) {
    struct tinylfu lfu;
    struct carve carve = {NULL, 0};
    tinylfu_lay(&lfu, (struct policy_view){.capacity = capacity}, &carve);
    return sizeof lfu + carve.used;
}

static void tinylfu_init(void *self, struct policy_view view) {
    struct tinylfu *lfu = self;
    struct carve carve = {(char *)(lfu + 1), 0};
    tinylfu_lay(lfu, view, &carve);
    lfu->window_target = view.capacity / 100 == 0 ? 1 : view.capacity / 100;
    lfu->climber.step = first_step * view.capacity;
}

static uint32_t tinylfu_notes_mask(uint32_t capacity) {
    (void)capacity;
    return 0;
}

/* Row `row` of a hash: a word, and one of the four counts that are this row's in it. */
static uint64_t *sketch_word(const struct tinylfu *lfu, uint32_t hash, uint32_t row,
                             unsigned *ret_shift) {
    static const uint32_t odd[ROWS] = {0x9e3779b1U, 0x85ebca77U, 0xc2b2ae3dU, 0x27d4eb2fU};
    uint32_t mixed = (hash ^ (hash >> 15)) * odd[row];
    mixed ^= mixed >> 13;
    *ret_shift = 4 * (4 * ((mixed >> 3) & 3) + row);
    return &lfu->sketch[hash_place(mixed * odd[(row + 1) % ROWS], lfu->view.capacity)];
}

static unsigned frequency(const struct tinylfu *lfu, uint32_t id) {
    unsigned least = 15;
    for (uint32_t row = 0; row < ROWS; row++) {
        unsigned shift;
        const uint64_t *word = sketch_word(lfu, lfu->view.nodes[id].hash, row, &shift);
        unsigned count = (unsigned)(*word >> shift) & 15;
        least = count < least ? count : least;
    }
    return least;
}

static void count_access(struct tinylfu *lfu, uint32_t hash) {
    for (uint32_t row = 0; row < ROWS; row++) {
        unsigned shift;
        uint64_t *word = sketch_word(lfu, hash, row, &shift);
        if (((*word >> shift) & 15) < 15) {
            *word += 1ULL << shift;
        }
    }
    if (++lfu->counted < (uint64_t)lfu->view.capacity * AGE_TURNS) {
        return;
    }
    for (uint32_t i = 0; i < lfu->view.capacity; i++) {
        lfu->sketch[i] = (lfu->sketch[i] >> 1) & 0x7777777777777777ULL;
    }
    lfu->counted /= 2;
}

static void set_window(struct tinylfu *lfu, double wanted) {
    double most = lfu->view.capacity * 0.8;
    wanted = wanted > most ? most : wanted;
    lfu->window_target = wanted < 1 ? 1 : (uint32_t)wanted;
}

/* At the end of a period: go on when it went better than before, else turn round. */
static void climb(struct tinylfu *lfu, bool hit) {
    struct climber *climber = &lfu->climber;
    climber->hits += hit;
    if (++climber->seen < (uint64_t)lfu->view.capacity * CLIMB_TURNS) {
        return;
    }
    double ratio = (double)climber->hits / climber->seen;
    double change = ratio - climber->last_ratio;
    double direction = (change >= 0) == (climber->step >= 0) ? 1 : -1;
    double size = climber->step < 0 ? -climber->step : climber->step;
    bool is_new_load = change >= restart_change || change <= -restart_change;
    size = is_new_load ? first_step * lfu->view.capacity : size * step_decay;
    set_window(lfu, lfu->window_target + climber->step);
    *climber = (struct climber){.last_ratio = ratio, .step = direction * size};
}

static void move_to(struct tinylfu *lfu, uint32_t id, enum region_e region) {
    list_remove(&lfu->regions[lfu->region_of[id]], id);
    lfu->region_of[id] = (uint8_t)region;
    list_push(&lfu->regions[region], id);
}

static void tinylfu_insert(void *self, uint32_t id) {
    struct tinylfu *lfu = self;
    count_access(lfu, lfu->view.nodes[id].hash);
    climb(lfu, false);
    lfu->region_of[id] = REGION_WINDOW;
    list_push(&lfu->regions[REGION_WINDOW], id);
}

static void tinylfu_hit(void *self, uint32_t id) {
    struct tinylfu *lfu = self;
    count_access(lfu, lfu->view.nodes[id].hash);
    climb(lfu, true);
    bool in_window = lfu->region_of[id] == REGION_WINDOW;
    move_to(lfu, id, in_window ? REGION_WINDOW : REGION_PROTECTED);
    uint64_t rest = lfu->view.capacity - lfu->window_target;
    struct list *guarded = &lfu->regions[REGION_PROTECTED];
    while (guarded->count > rest * PROTECTED_PERCENT / 100) {
        move_to(lfu, guarded->tail, REGION_PROBATION);
    }
}

static void tinylfu_remove(void *self, uint32_t id) {
    struct tinylfu *lfu = self;
    list_remove(&lfu->regions[lfu->region_of[id]], id);
}

static uint32_t main_oldest(const struct tinylfu *lfu) {
    uint32_t id = lfu->regions[REGION_PROBATION].tail;
    return id != L1_NONE ? id : lfu->regions[REGION_PROTECTED].tail;
}

static uint32_t tinylfu_victim(void *self) {
    struct tinylfu *lfu = self;
    struct list *window = &lfu->regions[REGION_WINDOW];
    while (window->count > lfu->window_target) { /* it shrank, or the cache was filling up */
        move_to(lfu, window->tail, REGION_PROBATION);
    }
    uint32_t victim = main_oldest(lfu);
    uint32_t candidate = window->count >= lfu->window_target ? window->tail : L1_NONE;
    if (victim == L1_NONE) {
        victim = window->tail;
    } else if (candidate != L1_NONE) {
        if (frequency(lfu, candidate) > frequency(lfu, victim)) {
            move_to(lfu, candidate, REGION_PROBATION);
        } else {
            victim = candidate;
        }
    }
    tinylfu_remove(lfu, victim);
    return victim;
}

static void tinylfu_check(const void *self, uint32_t entries) {
    const struct tinylfu *lfu = self;
    uint32_t sum = 0;
    for (int region = 0; region < REGION_COUNT; region++) {
        const struct list *list = &lfu->regions[region];
        list_check(list);
        for (uint32_t id = list->head; id != L1_NONE; id = list->links[id].older) {
            ASSERT(lfu->region_of[id] == region);
        }
        sum += list->count;
    }
    ASSERT(sum == entries);
    ASSERT(lfu->window_target >= 1 && lfu->window_target <= lfu->view.capacity);
}

const struct policy policy_tinylfu = {
    .mark_max = 0,
    .notes_mask = tinylfu_notes_mask,
    .size = tinylfu_size,
    .init = tinylfu_init,
    .insert = tinylfu_insert,
    .victim = tinylfu_victim,
    .remove = tinylfu_remove,
    .hit = tinylfu_hit,
    .check = tinylfu_check,
};
