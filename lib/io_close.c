/* gil_close(), and who waits for which file.
 *
 * Users of a file are listed by its number; those of several files, in a list of their own. A closer
 * marks the users of its file, ends their calls, and waits until they have left the list: then none
 * of them is in the kernel with that number any more, and the number may go.
 *
 * Each list has a guard, which is held for a few instructions. In a forked child the lists are
 * empty: the generation tells. */
#define _GNU_SOURCE
#include "lib/io_impl.h"

#include "lib/waiters.h"

enum { SEVERAL = 256, LISTS };

static struct list {
    struct waiters guard; /* its queue is not used */
    uint32_t generation;
    struct io_user *first;
} lists[LISTS];

static void list_enter(struct list *l)
{
    waiters_enter(&l->guard);
    if (l->generation != fork_generation) {
        l->generation = fork_generation;
        l->first = NULL;
    }
}

static void list_leave(struct list *l)
{
    waiters_leave(&l->guard);
}

static struct list *list_of(const struct io_user *u)
{
    return &lists[u->count ? SEVERAL : (unsigned)u->fd % SEVERAL];
}

static bool has_files(const struct io_user *u)
{
    return u->fd >= 0 || u->count;
}

void io_enlist(struct io_user *u, struct parker *p)
{
    struct list *l = list_of(u);

    if (!has_files(u))
        return;
    u->parker = p;
    list_enter(l);
    u->next = l->first;
    u->link = &l->first;
    if (u->next)
        u->next->link = &u->next;
    l->first = u;
    list_leave(l);
}

/* The closer may go as soon as the guards are free. */
void io_delist(struct io_user *u)
{
    struct list *l = list_of(u);

    if (!has_files(u))
        return;
    list_enter(l);
    *u->link = u->next;
    if (u->next)
        u->next->link = u->link;
    if (u->closer && __atomic_sub_fetch(u->closer, 1, __ATOMIC_RELEASE) == 0)
        futex_wake(u->closer);
    list_leave(l);
    if (u->closer)
        parker_forget(u->parker, PARK_CLOSED);
}

bool io_closing(const struct io_user *u)
{
    return __atomic_load_n(&u->closer, __ATOMIC_ACQUIRE);
}

static bool waits_for(const struct io_user *u, int fd)
{
    for (nfds_t i = 0; i < u->count; i++)
        if (u->fds[i].fd == fd)
            return true;
    return !u->count && u->fd == fd;
}

/* Ends the calls of a list's users of fd; *left counts them. */
static void end_users(struct list *l, int fd, uint32_t *left)
{
    list_enter(l);
    for (struct io_user *u = l->first; u; u = u->next) {
        if (u->closer || !waits_for(u, fd))
            continue;
        __atomic_add_fetch(left, 1, __ATOMIC_RELAXED);
        __atomic_store_n(&u->closer, left, __ATOMIC_RELEASE);
        parker_tell(u->parker, PARK_CLOSED);
    }
    list_leave(l);
}

static void await_users(struct list *one, uint32_t *left)
{
    uint32_t some;

    while ((some = __atomic_load_n(left, __ATOMIC_ACQUIRE)))
        futex_wait(left, some, FUTEX_FOREVER);
    /* Who has set it to 0 holds a guard, and is done with it after that. */
    list_enter(one);
    list_leave(one);
    list_enter(&lists[SEVERAL]);
    list_leave(&lists[SEVERAL]);
}

int gil_close(int fd)
{
    struct thread_state *ts = need_to_run("gil_close");
    struct list *one = &lists[(unsigned)fd % SEVERAL];
    uint32_t left = 0;
    long result;

    state_suspend("gil_close", ts);
    end_users(one, fd, &left);
    end_users(&lists[SEVERAL], fd, &left);
    batch_close(fd);
    await_users(one, &left);
    result = IO_NOW(SYS_close, fd);
    state_resume("gil_close", ts);
    return (int)io_result(result);
}
