/* SPDX-License-Identifier: (MIT OR GPL-2.0)
 *
 * A stock CPython, by its calls of libc. Taking the GIL ends with a signal to gil.switch_cond,
 * dropping it with one to gil.cond, and a thread that finds it taken waits for gil.cond with a
 * timeout, again and again. The last is probed in the tier `contention`, all of it in `full`. */
#ifndef BPF_CPYTHON_H
#define BPF_CPYTHON_H

#include "bpf/wait.h"

#define WAIT_TIMED_OUT 110 /* ETIMEDOUT */

#define THREADS_MAX 4096 /* of a process, that are looked through */

struct search {
    __u64 interpreter, tstate;
    __u32 ns_tid;
};

/* One step: 1 when the search is over. */
static long look_at_tstate(__u32 step, struct search *s)
{
    (void)step;
    if (!s->tstate) {
        s->interpreter = load(s->interpreter + layout.interpreter_next);
        s->tstate = s->interpreter ? load(s->interpreter + layout.interpreter_threads) : 0;
        return !s->interpreter;
    }
    if (load(s->tstate + layout.tstate_native_id) == s->ns_tid)
        return 1;
    s->tstate = load(s->tstate + layout.tstate_next);
    return 0;
}

/* The calling thread's state, from the interpreters' lists: newer ones come first there. */
static __noinline __u64 find_tstate(__u64 gil, __u32 ns_tid)
{
    struct search s = {.ns_tid = ns_tid};

    s.interpreter = load(gil - layout.runtime_gil + layout.runtime_interpreters);
    s.tstate = load(s.interpreter + layout.interpreter_threads);
    bpf_loop(THREADS_MAX, look_at_tstate, &s, 0);
    return load(s.tstate + layout.tstate_native_id) == ns_tid ? s.tstate : 0;
}

static inline void own_where(struct hit *h, struct where *where)
{
    struct mine *m = h->mine;

    if (!m->tstate || load(m->tstate + layout.tstate_native_id) != m->ns_tid)
        m->tstate = find_tstate(h->lock, m->ns_tid);
    find_where(where, h->pid, m->tstate);
}

static inline void waiting(struct hit *h)
{
    struct mine *m = h->mine;
    struct where where;
    __u32 holder = find_holder(h, h->lock, &where);

    if (!m->waits_since)
        own_where(h, &m->asks);
    waits_for(h, holder, &where);
    m->woken = m->ran = 0;
}

static inline void taken(struct hit *h)
{
    struct mine *m = h->mine;

    m->held_since = h->now;
    if (!m->waits_since)
        return;
    wait_ends(h, h->now);
    if (m->woken)
        hand_off(h, h->now, h->now - m->woken, m->waker);
}

static inline void dropped(struct hit *h)
{
    struct mine *m = h->mine;
    __u64 since = m->held_since ? m->held_since : attached_ns;
    struct where where;

    find_where(&where, h->pid, load(h->lock + layout.gil_last_holder)); /* it is its own */
    hold_ends(h, h->now - since, &where, m->held_since ? 0 : GIL_EVENT_PARTIAL);
    m->held_since = 0;
}

SEC("uprobe/cpython")
int cpython(struct registers *ctx)
{
    __u32 cookie = bpf_get_attach_cookie(ctx);
    struct gil_site *site = bpf_map_lookup_elem(&sites, &cookie);
    struct hit h;
    __u64 object = ctx->rdi;

    if (!site)
        return 0;
    h.lock = ctx->rip + site->to_gil;
    if (site->kind != GIL_SITE_WAITED && object != h.lock + layout.gil_cond &&
        object != h.lock + layout.gil_switch_cond)
        return 0; /* another condition variable */
    if (!hit_begins(&h))
        return 0;
    if (site->kind == GIL_SITE_WAIT)
        waiting(&h);
    else if (site->kind == GIL_SITE_SIGNAL && object == h.lock + layout.gil_cond)
        dropped(&h);
    else if (site->kind == GIL_SITE_SIGNAL)
        taken(&h);
    else if (h.mine->waits_since) {
        if ((__u32)ctx->rax == WAIT_TIMED_OUT)
            h.mine->woken = 0; /* by the clock, not by a release */
        if (!load32(h.lock + layout.gil_locked) && !each_hold)
            taken(&h);
    }
    return 0;
}

#endif
