/* See predictor.h. A site starts out trusted; it has to fail about as often as it succeeds to lose
 * that. */
#include "tools/python/predictor.h"

enum {
    SITES = 1024,    /* a power of two */
    TRUST_FIRST = 1, /* a new site is tried */
    TRUST_MAX = 8,
    RETRY_EVERY =
        512, /* contended releases at a site that is not trusted, until it is tried again */
};

static struct site {
    uintptr_t address;
    int32_t trust; /* deferred while > 0 */
    uint32_t passed;
} sites[SITES];

static struct site *site_at(uintptr_t address)
{
    struct site *s = &sites[(address ^ address >> 10) & (SITES - 1)];

    if (__atomic_load_n(&s->address, __ATOMIC_RELAXED) != address) {
        __atomic_store_n(&s->address, address, __ATOMIC_RELAXED);
        __atomic_store_n(&s->trust, TRUST_FIRST, __ATOMIC_RELAXED);
    }
    return s;
}

bool site_defers(uintptr_t address)
{
    struct site *s = site_at(address);
    uint32_t passed;

    if (__atomic_load_n(&s->trust, __ATOMIC_RELAXED) > 0)
        return true;
    passed = __atomic_load_n(&s->passed, __ATOMIC_RELAXED) + 1;
    __atomic_store_n(&s->passed, passed, __ATOMIC_RELAXED);
    return passed % RETRY_EVERY == 0;
}

void site_learn(uintptr_t address, enum site_outcome outcome)
{
    struct site *s = site_at(address);
    int32_t trust = __atomic_load_n(&s->trust, __ATOMIC_RELAXED);

    if (outcome == SITE_DONE && trust < TRUST_MAX)
        trust++;
    else if (outcome >= SITE_UNTRIABLE && trust > 0)
        trust -= trust > 2 ? 2 : 1;
    else
        return;
    __atomic_store_n(&s->trust, trust, __ATOMIC_RELAXED);
}
