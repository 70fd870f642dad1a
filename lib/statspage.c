/* The page of counters: made once, an entry a thread and lock, all others added up a lock. What it
 * looks like is in include/gil/stats.h.
 *
 * Invariant: node i of the pool counts in entry i of the page, and in no other; nodes beyond the
 * page's entries count in the entry of their lock, together with what threads that have ended have
 * left there. So an entry that is no lock's has one writer, and no entry is ever looked for while a
 * lock is taken or given up. The page is shared memory, so that it can be read by others, and never
 * unmapped; a forked child puts another one in its place before it counts anything.
 *
 * A page that cannot be shared (no memfd, no file descriptor left) is private memory: the process
 * counts for itself. */
#define _GNU_SOURCE
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "kernel-helpers/cannot.h"
#include "kernel-helpers/clock.h"
#include "kernel-helpers/memfile.h"
#include "lib/lock_impl.h"

/* Where `gil stat -- COMMAND` waits for the pages of COMMAND and what it starts. */
#define RECEIVER_VARIABLE "GIL_STATS_TO"

static gil_stats_page *page;
static struct memfile page_file = {.fd = -1};
static char receiver[64]; /* "": none */

/* ---- The page ---- */

/* Maps a new page, anywhere or in the place of another one. */
static gil_stats_page *map_page(void *at, struct memfile *file)
{
    int where = at ? MAP_FIXED : 0;
    gil_stats_page *p = MAP_FAILED;

    if (memfile_make(file, GIL_STATS_NAME, sizeof *p))
        p = mmap(at, sizeof *p, PROT_READ | PROT_WRITE, MAP_SHARED | where, file->fd, 0);
    if (p == MAP_FAILED) {
        memfile_close(file);
        p = mmap(at, sizeof *p, PROT_READ | PROT_WRITE,
                 MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | where, -1, 0);
    }
    if (p == MAP_FAILED)
        cannot("make room for counters", strerror(errno));
    p->version = GIL_STATS_VERSION;
    p->pid = getpid();
    p->size = sizeof *p;
    p->started = (uint64_t)clock_now_ns();
    __atomic_store_n(&p->magic, GIL_STATS_MAGIC, __ATOMIC_RELEASE);
    return p;
}

static void announce(void)
{
    if (*receiver && page_file.fd >= 0)
        memfile_send(&page_file, receiver);
}

/* Two threads may come here at once: one of them wins. */
static gil_stats_page *make_page(void)
{
    const char *to = secure_getenv(RECEIVER_VARIABLE);
    gil_stats_page *none = NULL, *fresh;
    struct memfile file;

    fresh = map_page(NULL, &file);
    if (!__atomic_compare_exchange_n(&page, &none, fresh, false, __ATOMIC_ACQ_REL,
                                     __ATOMIC_ACQUIRE)) {
        munmap(fresh, sizeof *fresh);
        memfile_close(&file);
        return none;
    }
    page_file = file;
    if (to && strlen(to) < sizeof receiver)
        strcpy(receiver, to);
    announce();
    return fresh;
}

/* NULL: there is none yet. */
static gil_stats_page *made_page(void)
{
    return __atomic_load_n(&page, __ATOMIC_ACQUIRE);
}

static gil_stats_page *the_page(void)
{
    gil_stats_page *p = made_page();

    return p ? p : make_page();
}

void stats_after_fork(void)
{
    uint64_t lock_of[GIL_STATS_LOCKS];

    if (!page)
        return;
    for (unsigned i = 0; i < GIL_STATS_LOCKS; i++)
        lock_of[i] = relaxed_load(&page->lock_of[i]);
    memfile_close(&page_file);
    map_page(page, &page_file);
    memcpy(page->lock_of, lock_of, sizeof lock_of);
    announce();
}

/* ---- The entries of locks: the first is for locks that have none. ---- */

/* l's place among the locks, 0 if it has none. */
static unsigned find_lock(const gil_stats_page *p, const struct lock *l)
{
    unsigned i = GIL_STATS_LOCKS - 1;

    while (i > 0 && (!l || relaxed_load(&p->lock_of[i]) != (uint64_t)(uintptr_t)l))
        i--;
    return i;
}

/* The same, and it gets one if there is room. */
static unsigned place_of_lock(gil_stats_page *p, const struct lock *l)
{
    unsigned i = find_lock(p, l);

    if (i || !l)
        return i;
    for (i = 1; i < GIL_STATS_LOCKS; i++) {
        uint64_t found = 0;

        if (__atomic_compare_exchange_n(&p->lock_of[i], &found, (uint64_t)(uintptr_t)l, false,
                                        __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE)) {
            relaxed_store(&p->locks[i].lock, (uint64_t)(uintptr_t)l);
            return i;
        }
        if (found == (uint64_t)(uintptr_t)l)
            return i; /* another thread was quicker */
    }
    return 0;
}

gil_stats_entry *stats_of_ended(const struct lock *l, gil_stats_histograms **histograms)
{
    gil_stats_page *p = made_page();
    unsigned i = p ? find_lock(p, l) : 0;

    if (!i)
        return NULL;
    if (histograms)
        *histograms = &p->lock_histograms[i];
    return &p->locks[i];
}

/* ---- Adding up ---- */

static void move_histograms(gil_stats_histograms *to, gil_stats_histograms *from)
{
    uint64_t *t = to->counts[0], *f = from->counts[0];

    for (unsigned i = 0; i < sizeof *to / sizeof *t; i++) {
        uint64_t count = relaxed_load(&f[i]);

        if (count) {
            __atomic_fetch_add(&t[i], count, __ATOMIC_RELAXED);
            __atomic_store_n(&f[i], 0, __ATOMIC_RELEASE);
        }
    }
}

/* Moves counters, and histograms if they are `from`'s own and there can be anything in them. Entries
 * of locks may be added to by several threads at once. Each is added first and taken away afterwards:
 * who reads `from` before `to` does not miss any. */
static void move_counters(gil_thread_stats *to, gil_stats_histograms *to_histograms,
                          gil_thread_stats *from, gil_stats_histograms *from_histograms)
{
    uint64_t *t = &to->acquires, *f = &from->acquires;

    _Static_assert(offsetof(gil_thread_stats, hold_max_ns) ==
                       sizeof(gil_thread_stats) - sizeof(uint64_t),
                   "the counters are one run of uint64_t, the maxima last");
    if (from_histograms && relaxed_load(&from->wait_ns))
        move_histograms(to_histograms, from_histograms);
    for (; f <= &from->hold_max_ns; f++, t++) {
        if (f < &from->wait_max_ns)
            __atomic_fetch_add(t, relaxed_load(f), __ATOMIC_RELAXED);
        else
            count_max(t, relaxed_load(f));
        __atomic_store_n(f, 0, __ATOMIC_RELEASE);
    }
}

/* ---- The entries of threads ---- */

static void note_used(gil_stats_page *p, uint32_t count)
{
    uint32_t used = relaxed_load(&p->used);

    while (used < count && !__atomic_compare_exchange_n(&p->used, &used, count, false,
                                                        __ATOMIC_RELAXED, __ATOMIC_RELAXED))
        ;
}

/* n's histograms, if they are not shared. */
static gil_stats_histograms *own_histograms(const struct node *n)
{
    return n->index < GIL_STATS_HISTOGRAMS ? n->histograms : NULL;
}

void stats_start(struct node *n, const struct lock *l)
{
    gil_stats_page *p = the_page();
    bool own = n->index < GIL_STATS_THREADS;
    bool shared = n->index >= GIL_STATS_HISTOGRAMS;
    unsigned place = shared ? place_of_lock(p, l) : 0;
    gil_stats_entry *entry = own ? &p->threads[n->index] : &p->locks[place];

    if (own && relaxed_load(&entry->stats.threads))
        stats_end(n, NULL); /* its lock was destroyed */
    n->shares_counters = !own;
    n->histograms = shared ? &p->lock_histograms[place] : &p->thread_histograms[n->index];
    n->hold.number = UINT64_MAX;
    relaxed_store(&n->stats, &entry->stats);
    if (own) {
        relaxed_store(&entry->stats.tid, n->tid);
        relaxed_store(&entry->lock, (uint64_t)(uintptr_t)l);
        note_used(p, n->index + 1);
    }
    __atomic_fetch_add(&entry->stats.threads, 1, __ATOMIC_RELEASE);
}

void stats_end(struct node *n, const struct lock *l)
{
    gil_stats_page *p = made_page();
    unsigned place;

    if (n->shares_counters || !relaxed_load(&n->stats->threads))
        return;
    place = place_of_lock(p, l);
    __atomic_fetch_add(&p->locks[place].stats.threads, 1, __ATOMIC_RELAXED);
    move_counters(&p->locks[place].stats, &p->lock_histograms[place], n->stats, own_histograms(n));
    relaxed_store(&n->stats->tid, 0);
    __atomic_store_n(&n->stats->threads, 0, __ATOMIC_RELEASE);
}

void stats_move(struct node *to, struct node *from)
{
    if (from->shares_counters) {
        __atomic_fetch_sub(&from->stats->threads, 1, __ATOMIC_RELAXED);
        return;
    }
    move_counters(to->stats, to->histograms, from->stats, own_histograms(from));
    relaxed_store(&from->stats->tid, 0);
    relaxed_store(&from->stats->threads, 0);
}

static void count_duration(struct node *n, uint64_t *sum, uint64_t *maximum,
                           gil_histogram histogram, int64_t ns)
{
    uint64_t value = ns > 0 ? (uint64_t)ns : 0, *count;

    count_add(n, sum, value);
    count_max(maximum, value);
    count = &n->histograms->counts[histogram][gil_slot(value)];
    /* A hand-over is under way: an atomic operation would wait for all that it has written. */
    if (own_histograms(n))
        relaxed_store(count, *count + 1);
    else
        __atomic_fetch_add(count, 1, __ATOMIC_RELAXED);
}

void stats_wait(struct node *n, int64_t ns)
{
    count_duration(n, &n->stats->wait_ns, &n->stats->wait_max_ns, GIL_HISTOGRAM_WAIT, ns);
}

void stats_handoff(struct node *n, int64_t ns)
{
    count_up(n, handoffs);
    count_duration(n, &n->stats->handoff_ns, &n->stats->handoff_max_ns, GIL_HISTOGRAM_HANDOFF, ns);
}

/* ---- The ends of locks ---- */

void stats_forget_ended(const struct lock *l)
{
    gil_stats_histograms *histograms;
    gil_stats_entry *entry = stats_of_ended(l, &histograms);

    if (!entry || !relaxed_load(&entry->stats.threads))
        return;
    memset(&entry->stats, 0, sizeof entry->stats);
    memset(histograms, 0, sizeof *histograms);
}

void stats_forget_lock(const struct lock *l)
{
    gil_stats_histograms *histograms;
    gil_stats_entry *entry = stats_of_ended(l, &histograms), *all;
    gil_stats_page *p = made_page();

    if (!entry)
        return;
    all = &p->locks[0];
    move_counters(&all->stats, &p->lock_histograms[0], &entry->stats, histograms);
    __atomic_fetch_add(&all->stats.threads, entry->stats.threads, __ATOMIC_RELAXED);
    relaxed_store(&entry->stats.threads, 0);
    relaxed_store(&entry->lock, 0);
    __atomic_store_n(&p->lock_of[entry - p->locks], 0, __ATOMIC_RELEASE);
}
