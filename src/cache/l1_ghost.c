/* SPDX-License-Identifier: Apache-2.0 */
/* The memory of what left. */
#include "cache/l1_ghost_priv.h"

#include "cache/l1_hash_priv.h"

void ghost_lay(struct ghost *ghost, uint32_t capacity, struct carve *carve) {
    *ghost = (struct ghost){.capacity = capacity, .slots = capacity + capacity / 2 + 1};
    ghost->ring = carve_take(carve, capacity, sizeof *ghost->ring);
    ghost->index = carve_take(carve, ghost->slots, sizeof *ghost->index);
}

static uint32_t slot_after(const struct ghost *ghost, uint32_t slot) {
    return slot + 1 == ghost->slots ? 0 : slot + 1;
}

static uint32_t slot_home(const struct ghost *ghost, uint32_t slot) {
    return hash_place(ghost->ring[ghost->index[slot] - 1], ghost->slots);
}

/* Empties `slot` and moves what follows back, so that no search meets a hole before its goal. */
static void index_remove(struct ghost *ghost, uint32_t slot) {
    uint32_t hole = slot;
    for (uint32_t at = slot_after(ghost, slot); ghost->index[at] != 0; at = slot_after(ghost, at)) {
        uint32_t home = slot_home(ghost, at);
        bool stays = hole < at ? hole < home && home <= at : hole < home || home <= at;
        if (!stays) {
            ghost->index[hole] = ghost->index[at];
            hole = at;
        }
    }
    ghost->index[hole] = 0;
}

static void forget_place(struct ghost *ghost, uint32_t place) {
    uint32_t slot = hash_place(ghost->ring[place], ghost->slots);
    while (ghost->index[slot] != 0 && ghost->index[slot] != place + 1) {
        slot = slot_after(ghost, slot);
    }
    if (ghost->index[slot] != 0) { /* else it was taken */
        index_remove(ghost, slot);
    }
}

void ghost_add(struct ghost *ghost, uint32_t hash) {
    if (ghost->capacity == 0) {
        return;
    }
    if (ghost->filled == ghost->capacity) {
        forget_place(ghost, ghost->at);
    } else {
        ghost->filled++;
    }
    ghost->ring[ghost->at] = hash;
    uint32_t slot = hash_place(hash, ghost->slots);
    while (ghost->index[slot] != 0) {
        slot = slot_after(ghost, slot);
    }
    ghost->index[slot] = ghost->at + 1;
    ghost->at = ghost->at + 1 == ghost->capacity ? 0 : ghost->at + 1;
}

bool ghost_take(struct ghost *ghost, uint32_t hash) {
    uint32_t slot = hash_place(hash, ghost->slots);
    while (ghost->index[slot] != 0 && ghost->ring[ghost->index[slot] - 1] != hash) {
        slot = slot_after(ghost, slot);
    }
    if (ghost->index[slot] == 0) {
        return false;
    }
    index_remove(ghost, slot);
    return true;
}

void ghost_check(const struct ghost *ghost) {
    uint32_t used = 0;
    for (uint32_t slot = 0; slot < ghost->slots; slot++) {
        if (ghost->index[slot] == 0) {
            continue;
        }
        used++;
        ASSERT(ghost->index[slot] <= ghost->filled);
        for (uint32_t at = slot_home(ghost, slot); at != slot; at = slot_after(ghost, at)) {
            ASSERT(ghost->index[at] != 0);
        }
    }
    ASSERT(used <= ghost->filled && ghost->filled <= ghost->capacity);
}
