/* SPDX-License-Identifier: (MIT OR GPL-2.0)
 *
 * A wait for the lock, from the first hit of a thread that waits to the one that has it.
 *
 * The holder is looked at when the wait begins, and again each time the waiter wakes up in vain or
 * asks: at least once a switch interval. Each part of the wait is charged to the holder at the place
 * where it was seen at the beginning of that part. */
#ifndef BPF_WAIT_H
#define BPF_WAIT_H

#include "bpf/account.h"

/* The number in the first pid namespace of a thread of the same process. */
static inline __u32 tid_of(__u32 pid, __u32 ns_tid)
{
    struct gil_namespaced key = {.pid = pid, .ns_tid = ns_tid};
    __u32 *tid = bpf_map_lookup_elem(&namespaced, &key);

    return tid ? *tid : ns_tid;
}

/* Who has an interpreter's lock, and where it is now. Returns its tid, 0 if unknown. */
static inline __u32 find_holder(const struct hit *h, __u64 gil, struct where *where)
{
    __u64 tstate = load(gil + layout.gil_last_holder);
    __u32 ns_tid = tstate ? load32(tstate + layout.tstate_native_id) : 0;
    struct seen seen = {.when = h->now};
    __u32 tid = ns_tid ? tid_of(h->pid, ns_tid) : 0;

    find_where(where, h->pid, tstate);
    if (tid && where->code.code) {
        seen.where = *where;
        bpf_map_update_elem(&holders, &tid, &seen, BPF_ANY);
    }
    return tid;
}

static inline void part_ends(struct hit *h, __u64 end, bool last)
{
    struct mine *m = h->mine;
    __u64 ns = end - m->part_since;
    struct gil_place_sums *p;
    __u32 function = 0;

    if (!m->holder)
        lose(GIL_LOSS_HOLDERS);
    p = place_of(h, &m->holds, m->holder, &function);
    if (p)
        __sync_fetch_and_add(&p->blame_ns, ns);
    if (m->parts == 0 && last)
        return; /* the wait's own event says it all */
    if (wanted(h, GIL_EVENT_BLAME, ~0ull)) {
        struct gil_event event = event_of(h, GIL_EVENT_BLAME, end, ns);

        event.other = m->holder;
        event.other_place.function = function;
        event.other_place.line = m->holds.offset;
        send(&event);
    }
}

/* The thread waits, or still waits; `holder` has the lock now, at `where`. */
static __noinline void waits_for(struct hit *h, __u32 holder, const struct where *where)
{
    struct mine *m = h->mine;

    if (m->waits_since && m->holder == holder && same_where(&m->holds, where))
        return;
    if (m->waits_since) {
        part_ends(h, h->now, false);
        m->parts++;
    } else {
        m->waits_since = h->now;
        m->parts = 0;
        m->first_holder = holder;
        m->first_holds = *where;
    }
    m->part_since = h->now;
    m->holder = holder;
    m->holds = *where;
}

static inline void hand_off(struct hit *h, __u64 end, __u64 ns, __u32 from)
{
    struct mine *m = h->mine;
    struct gil_thread *t = h->thread;
    __u64 delay = m->ran > m->woken && m->ran <= end ? m->ran - m->woken : 0;

    if (delay > ns)
        delay = ns;
    if (t) {
        add_slot(&t->handoff, ns);
        t->delay_ns += delay;
    }
    if (wanted(h, GIL_EVENT_HANDOFF, ns)) {
        struct gil_event event = event_of(h, GIL_EVENT_HANDOFF, end, ns);

        event.other = from;
        event.delay_ns = delay;
        send(&event);
    }
}

/* The wait is over: the thread has the lock since `end`. */
static __noinline void wait_ends(struct hit *h, __u64 end)
{
    struct mine *m = h->mine;
    __u64 ns = end - m->waits_since;
    struct gil_thread *t = h->thread;
    struct gil_place_sums *p;
    __u32 function = 0;

    part_ends(h, end, true);
    if (t)
        add_slot(&t->wait, ns);
    p = place_of(h, &m->asks, h->tid, &function);
    if (p)
        add(&p->wait, ns);
    if (wanted(h, GIL_EVENT_WAIT, ns)) {
        struct gil_event event = event_of(h, GIL_EVENT_WAIT, end, ns);
        __u32 other = 0;

        place_of(h, &m->first_holds, m->first_holder, &other);
        event.place.function = function;
        event.place.line = m->asks.offset;
        event.other = m->first_holder;
        event.other_place.function = other;
        event.other_place.line = m->first_holds.offset;
        event.flags = m->parts ? GIL_EVENT_SPLIT : 0;
        send(&event);
    }
    m->waits_since = 0;
}

/* A hold has ended, by a thread that is at `where`. */
static __noinline void hold_ends(struct hit *h, __u64 ns, struct where *where, __u16 flags)
{
    struct gil_thread *t = h->thread;
    struct gil_place_sums *p;
    __u32 function = 0;

    if (ns >= GIL_LONG_HOLD_NS) {
        struct seen *seen = bpf_map_lookup_elem(&holders, &h->tid);

        if (seen && seen->when + ns > h->now) {
            *where = seen->where;
            flags |= GIL_EVENT_SEEN;
        }
    }
    if (t && flags & GIL_EVENT_PARTIAL)
        t->partial++;
    else if (t)
        add_slot(&t->hold, ns);
    p = place_of(h, where, h->tid, &function);
    if (p)
        add(&p->hold, ns);
    if (wanted(h, GIL_EVENT_HOLD, ns)) {
        struct gil_event event = event_of(h, GIL_EVENT_HOLD, h->now, ns);

        event.place.function = function;
        event.place.line = where->offset;
        event.flags = flags;
        send(&event);
    }
}

#endif
