/* SPDX-License-Identifier: (MIT OR GPL-2.0)
 *
 * A process on libgil, by the probes of kernel-helpers/probe.h, which says when each is hit. */
#ifndef BPF_LIBGIL_H
#define BPF_LIBGIL_H

#include "bpf/wait.h"

static inline __u64 argument(void *ctx, const struct gil_site *site, __u32 number)
{
    const struct gil_argument *a = &site->arguments[number];
    __u64 value = a->constant;

    if (a->from != GIL_CONSTANT)
        bpf_probe_read_kernel(&value, sizeof value, ctx + a->from);
    value <<= a->shift & 63;
    return a->is_signed ? (__u64)((__s64)value >> (a->shift & 63)) : value >> (a->shift & 63);
}

/* Where a thread state's thread is, if it is an interpreter's that we can read. */
static inline void where_of(const struct hit *h, const struct gil_site *site, __u64 tstate,
                            struct where *where)
{
    if (site->python && tstate)
        find_where(where, h->pid, tstate);
    else
        *where = (struct where){.code.pid = h->pid};
}

/* Who has the lock: a thread of an interpreter that we can read, or whom libgil names. */
static inline __u32 holder_of(const struct hit *h, const struct gil_site *site, __u32 named,
                              struct where *where)
{
    struct gil_process *process = bpf_map_lookup_elem(&processes, &h->pid);

    if (site->python && process && process->gil)
        return find_holder(h, process->gil, where);
    return named ? tid_of(h->pid, named) : 0;
}

static inline void contended(struct hit *h, void *ctx, const struct gil_site *site)
{
    struct where where = {.code.pid = h->pid};
    __u32 holder = holder_of(h, site, argument(ctx, site, 2), &where);

    where_of(h, site, argument(ctx, site, 1), &h->mine->asks);
    h->mine->waits_since = 0; /* a wait that was given up */
    h->mine->woken = h->mine->ran = 0;
    waits_for(h, holder, &where);
}

static inline void drop_requested(struct hit *h, void *ctx, const struct gil_site *site)
{
    struct where where = {.code.pid = h->pid};

    if (argument(ctx, site, 1) != h->mine->ns_tid || !h->mine->waits_since)
        return; /* a request on behalf of others */
    waits_for(h, holder_of(h, site, argument(ctx, site, 2), &where), &where);
}

static inline void released(struct hit *h, void *ctx, const struct gil_site *site)
{
    struct mine *m = h->mine;
    __u64 wait_ns = argument(ctx, site, 2), hold_ns = argument(ctx, site, 3);
    __u64 began = h->now - hold_ns;
    __u32 how = argument(ctx, site, 5);
    __u16 flags = (how & GIL_RELEASED_FORCED ? GIL_EVENT_FORCED : 0) |
                  (how & GIL_RELEASED_PARTIAL ? GIL_EVENT_PARTIAL : 0);
    struct where where;

    if (m->waits_since && wait_ns && began > m->part_since) {
        m->waits_since = began - wait_ns;
        wait_ends(h, began);
    }
    m->waits_since = 0;
    if (m->granted_ns)
        hand_off(h, began, m->granted_ns, m->granted_by);
    m->granted_ns = 0;
    where_of(h, site, argument(ctx, site, 1), &where);
    hold_ends(h, hold_ns, &where, flags);
}

static inline void swapped(struct hit *h, void *ctx, const struct gil_site *site)
{
    struct gil_event event = event_of(h, GIL_EVENT_SWAP, h->now, 0);

    if (!wanted(h, GIL_EVENT_SWAP, ~0ull))
        return;
    event.swap.from = argument(ctx, site, 0);
    event.swap.to = argument(ctx, site, 1);
    send(&event);
}

static inline void io_completed(struct hit *h, void *ctx, const struct gil_site *site)
{
    __u64 ns = argument(ctx, site, 4);
    struct gil_event event = event_of(h, GIL_EVENT_IO, h->now, ns);
    struct where where;

    if (!wanted(h, GIL_EVENT_IO, ns))
        return;
    where_of(h, site, argument(ctx, site, 0), &where);
    event.place.function = number_of(&where);
    event.place.line = where.offset;
    event.io.op = argument(ctx, site, 1);
    event.io.fd = argument(ctx, site, 2);
    event.io.result = argument(ctx, site, 3);
    send(&event);
}

SEC("uprobe/libgil")
int libgil(struct registers *ctx)
{
    __u32 cookie = bpf_get_attach_cookie(ctx);
    struct gil_site *site = bpf_map_lookup_elem(&sites, &cookie);
    struct hit h;

    if (!site || !hit_begins(&h))
        return 0;
    h.lock = site->kind < GIL_SITE_SWAP ? argument(ctx, site, 0) : 0;
    switch (site->kind) {
    case GIL_SITE_RELEASED:
        released(&h, ctx, site);
        break;
    case GIL_SITE_CONTENDED:
        contended(&h, ctx, site);
        break;
    case GIL_SITE_DROP_REQUEST:
        drop_requested(&h, ctx, site);
        break;
    case GIL_SITE_HANDOFF:
        h.mine->granted_by = tid_of(h.pid, argument(ctx, site, 1));
        h.mine->granted_ns = argument(ctx, site, 3);
        break;
    case GIL_SITE_SWAP:
        swapped(&h, ctx, site);
        break;
    case GIL_SITE_IO_COMPLETE:
        io_completed(&h, ctx, site);
        break;
    }
    return 0;
}

#endif
