/* Parkers: making and finding them, sleeping and waking. See park.h.
 *
 * A parker is found by its thread's ident, in a hash table. Table and free list are guarded by one
 * mutex, which is taken when a thread starts or ends, or is interrupted, and by nobody who waits or
 * wakes; it is held across fork. */
#include "lib/park.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <gil/eval.h>
#include <gil/thread.h>

#include "kernel-helpers/cannot.h"
#include "kernel-helpers/clock.h"
#include "kernel-helpers/interrupt.h"

enum { HASH_BITS = 10 };

__thread struct parker *thread_parker;
uint32_t fork_generation;

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static struct parker *alive[1 << HASH_BITS];
static struct parker *unused;
static pthread_key_t exit_key;
static int start_error; /* why park_start failed; reported when the first parker is wanted */

static _Noreturn void out_of_parkers(int error)
{
    cannot("make a place for a thread to wait", strerror(error));
}

/* ---- Under the mutex ---- */

/* Idents are addresses, and their low bits are mostly the same. */
static struct parker **alive_of(unsigned long ident)
{
    return &alive[(uint64_t)ident * UINT64_C(0x9E3779B97F4A7C15) >> (64 - HASH_BITS)];
}

/* NULL: there is no memory. */
static struct parker *obtain(void)
{
    struct parker *p = unused;

    if (p) {
        unused = p->next_alive;
        return p;
    }
    p = aligned_alloc(_Alignof(struct parker), sizeof *p);
    if (p)
        memset(p, 0, sizeof *p);
    return p;
}

static void put_back(struct parker *p)
{
    p->ident = 0;
    p->next_alive = unused;
    unused = p;
}

static void enlist(struct parker *p, unsigned long ident)
{
    struct parker **head = alive_of(ident);

    p->ident = ident;
    p->next_alive = *head;
    *head = p;
}

static void delist(struct parker *p)
{
    struct parker **link = alive_of(p->ident);

    while (*link != p)
        link = &(*link)->next_alive;
    *link = p->next_alive;
}

/* ---- Threads come and go ---- */

void parker_adopt(struct parker *p)
{
    int error = start_error;

    p->tid = (int32_t)syscall(SYS_gettid);
    thread_parker = p;
    if (!error)
        error = pthread_setspecific(exit_key, p);
    if (error)
        out_of_parkers(error);
}

struct parker *parker_make(void)
{
    struct parker *p;

    pthread_mutex_lock(&mutex);
    p = obtain();
    if (p) {
        __atomic_store_n(&p->word, 0, __ATOMIC_RELAXED);
        enlist(p, (unsigned long)pthread_self());
    }
    pthread_mutex_unlock(&mutex);
    if (!p)
        out_of_parkers(ENOMEM);
    parker_adopt(p);
    return p;
}

int parker_create_thread(struct parker **p, pthread_t *thread, const pthread_attr_t *attr,
                         void *(*fn)(void *), void *arg)
{
    int error = ENOMEM;

    pthread_mutex_lock(&mutex);
    *p = obtain();
    if (*p) {
        struct parker *fresh =
            *p; /* a detached thread may have ended when pthread_create returns */

        __atomic_store_n(&fresh->word, 0, __ATOMIC_RELAXED);
        error = pthread_create(thread, attr, fn, arg);
        if (error)
            put_back(fresh);
        else
            enlist(fresh, (unsigned long)*thread);
    }
    pthread_mutex_unlock(&mutex);
    return error;
}

static void thread_exit(void *arg)
{
    struct parker *p = arg;

    thread_parker = NULL;
    pthread_mutex_lock(&mutex);
    delist(p);
    put_back(p);
    pthread_mutex_unlock(&mutex);
}

/* ---- Sleeping and waking ---- */

bool park(struct parker *p, int64_t deadline, bool interruptible)
{
    for (;;) {
        uint32_t word = __atomic_load_n(&p->word, __ATOMIC_ACQUIRE);

        if (word & PARK_WOKEN)
            return true;
        if (interruptible && word & (PARK_INTERRUPTED | PARK_SIGNALLED))
            return false;
        if (deadline != FUTEX_FOREVER && clock_now_ns() >= deadline)
            return false;
        if (!__atomic_compare_exchange_n(&p->word, &word, word | PARK_SLEEPING, false,
                                         __ATOMIC_RELAXED, __ATOMIC_RELAXED))
            continue;
        futex_wait(&p->word, word | PARK_SLEEPING, deadline);
        __atomic_fetch_and(&p->word, ~(uint32_t)PARK_SLEEPING, __ATOMIC_RELAXED);
    }
}

/* Calls what ends the function in which the thread is: once, while it is there. */
static void call_back(struct parker *p)
{
    uint32_t word = __atomic_load_n(&p->word, __ATOMIC_ACQUIRE);

    do {
        if (!(word & PARK_ELSEWHERE) || word & PARK_UNBLOCKING)
            return;
    } while (!__atomic_compare_exchange_n(&p->word, &word, word | PARK_UNBLOCKING, false,
                                          __ATOMIC_ACQUIRE, __ATOMIC_ACQUIRE));
    p->unblock->fn(p->unblock->arg);
    __atomic_fetch_and(&p->word, ~(uint32_t)(PARK_ELSEWHERE | PARK_UNBLOCKING), __ATOMIC_RELEASE);
}

void parker_call(struct parker *p)
{
    parker_set(p, PARK_CALLING);
}

void parker_called(struct parker *p)
{
    uint32_t word = __atomic_and_fetch(&p->word, ~(uint32_t)PARK_CALLING, __ATOMIC_ACQUIRE);

    if (!(word & PARK_ENDS) && word < PARK_SENDER)
        return;
    while (word >= PARK_SENDER) {
        /* No more than a pause: nobody wakes it. */
        futex_wait(&p->word, word, clock_now_ns() + 100000);
        word = __atomic_load_n(&p->word, __ATOMIC_ACQUIRE);
    }
    interrupt_unblock(); /* a system call: what is pending arrives before it returns */
}

/* False: its thread is in no call. */
static bool announce_signal(struct parker *p)
{
    uint32_t word = __atomic_load_n(&p->word, __ATOMIC_RELAXED);

    while (word & PARK_CALLING)
        if (__atomic_compare_exchange_n(&p->word, &word, word + PARK_SENDER, false,
                                        __ATOMIC_RELAXED, __ATOMIC_RELAXED))
            return true;
    return false;
}

void parker_tell(struct parker *p, uint32_t what)
{
    uint32_t word = __atomic_fetch_or(&p->word, what, __ATOMIC_SEQ_CST);

    if (word & PARK_SLEEPING)
        futex_wake(&p->word);
    if (word & PARK_CALLING && announce_signal(p)) {
        interrupt_thread(p->tid);
        __atomic_fetch_sub(&p->word, PARK_SENDER, __ATOMIC_RELEASE);
    }
    if (word & PARK_ELSEWHERE)
        call_back(p);
}

void parker_forget(struct parker *p, uint32_t bits)
{
    parker_clear(p, bits);
    interrupt_unblock();
}

void unpark(struct parker *p)
{
    if (__atomic_fetch_or(&p->word, PARK_WOKEN, __ATOMIC_RELEASE) & PARK_SLEEPING)
        futex_wake(&p->word);
}

void parker_leave(struct parker *p, const struct unblock *u)
{
    p->unblock = u;
    __atomic_fetch_or(&p->word, PARK_ELSEWHERE, __ATOMIC_RELEASE);
}

bool parker_return(struct parker *p)
{
    uint32_t word = __atomic_load_n(&p->word, __ATOMIC_ACQUIRE);

    while (word & PARK_ELSEWHERE) {
        if (word & PARK_UNBLOCKING) {
            /* No more than a pause: nobody wakes it. */
            futex_wait(&p->word, word, clock_now_ns() + 100000);
            word = __atomic_load_n(&p->word, __ATOMIC_ACQUIRE);
        } else if (__atomic_compare_exchange_n(&p->word, &word, word & ~(uint32_t)PARK_ELSEWHERE,
                                               false, __ATOMIC_ACQUIRE, __ATOMIC_ACQUIRE)) {
            return false;
        }
    }
    return true;
}

/* ---- The interface ---- */

unsigned long gil_thread_ident(void)
{
    parker_self();
    return (unsigned long)pthread_self();
}

unsigned long gil_thread_native_id(void)
{
    return (unsigned long)syscall(SYS_gettid);
}

int gil_interrupt(unsigned long ident)
{
    struct parker *p;

    pthread_mutex_lock(&mutex);
    for (p = *alive_of(ident); p && p->ident != ident; p = p->next_alive)
        ;
    if (p)
        parker_tell(p, PARK_INTERRUPTED);
    pthread_mutex_unlock(&mutex);
    if (p)
        return 0;
    errno = ESRCH;
    return -1;
}

/* ---- Fork ---- */

static void before_fork(void)
{
    pthread_mutex_lock(&mutex);
}

static void after_fork_parent(void)
{
    pthread_mutex_unlock(&mutex);
}

/* All threads but this one are gone. What they wait in is recognised by the generation:
 * waiters.c. */
static void after_fork_child(void)
{
    fork_generation++;
    for (size_t i = 0; i < sizeof alive / sizeof *alive; i++) {
        struct parker *p = alive[i], *next;

        alive[i] = NULL;
        for (; p; p = next) {
            next = p->next_alive;
            if (p != thread_parker)
                put_back(p);
        }
    }
    if (thread_parker) {
        thread_parker->tid = (int32_t)syscall(SYS_gettid);
        enlist(thread_parker, (unsigned long)pthread_self());
    }
    pthread_mutex_unlock(&mutex);
}

__attribute__((constructor)) static void park_start(void)
{
    start_error = pthread_key_create(&exit_key, thread_exit);
    if (!start_error)
        start_error = pthread_atfork(before_fork, after_fork_parent, after_fork_child);
}
