/* Shared by the tests of threads and of what they wait with: *callers*, threads that make one
 * blocking call, and the forms that such a call can have.
 *
 * begin() starts the runtime; the test's own thread then runs without the interpreter lock. A
 * caller with a thread state holds that lock but for the time in which it blocks. */
#ifndef TESTS_UNIT_CALLERS_H
#define TESTS_UNIT_CALLERS_H

#include "harness.h"

#include <signal.h>

#include <gil/eval.h>
#include <gil/sync.h>
#include <gil/thread.h>

#define ERRNO_KEPT 4711

typedef struct caller {
    int (*call)(int64_t timeout_ns);
    int64_t timeout_ns;
    bool with_state;
    bool interrupted; /* before it calls */
    pthread_t thread;
    atomic_int tid;
    atomic_ulong ident;
    atomic_bool done;
    int result, error; /* of the call */
    int64_t took_ns;
    bool ran;      /* with a state: it runs on return */
    int next_wait; /* errno of the wait after that, which has nothing to wait for */
    atomic_bool may_end;
} caller;

static gil_thread_state *begun;

HARNESS void begin(void)
{
    ck_assert_int_eq(gil_initialize(0), 0);
    gil_init_threads();
    begun = gil_save_thread();
}

/* A short wait for what never comes: ETIMEDOUT, or EINTR when an interrupt is pending. */
HARNESS int errno_of_a_wait(void)
{
    gil_thread_event never = {{0}};

    ck_assert_int_eq(gil_thread_event_wait(&never, MS), -1);
    return errno;
}

HARNESS void *caller_main(void *arg)
{
    caller *c = arg;
    gil_state state = c->with_state ? gil_ensure() : GIL_STATE_LOCKED;
    int64_t from = now_ns();

    atomic_store(&c->ident, gil_thread_ident());
    if (c->interrupted)
        gil_interrupt(gil_thread_ident());
    atomic_store(&c->tid, my_tid());
    errno = ERRNO_KEPT;
    c->result = c->call(c->timeout_ns);
    c->error = errno;
    c->took_ns = now_ns() - from;
    c->ran = gil_check();
    c->next_wait = errno_of_a_wait();
    if (c->with_state)
        gil_release(state);
    atomic_store(&c->done, true);
    while (!atomic_load(&c->may_end))
        sleep_ns(50 * US);
    return NULL;
}

/* Returns when it is asleep in its call, or has made it. */
HARNESS void caller_start(caller *c, int (*call)(int64_t), int64_t timeout_ns)
{
    c->call = call;
    c->timeout_ns = timeout_ns;
    c->thread = start(caller_main, c);
    WAIT_FOR(atomic_load(&c->tid) != 0);
    WAIT_FOR(atomic_load(&c->done) || asleep(atomic_load(&c->tid)));
}

/* It has made its call. */
HARNESS void caller_end(caller *c)
{
    WAIT_FOR(atomic_load(&c->done));
    atomic_store(&c->may_end, true);
    join(c->thread);
}

/* Ends it, and checks how the call went: an errno, or 0. */
HARNESS void caller_expect(caller *c, int error)
{
    caller_end(c);
    ck_assert_int_eq(c->result, error ? -1 : 0);
    ck_assert_int_eq(c->error, error ? error : ERRNO_KEPT);
    ck_assert(c->ran == c->with_state);
}

/* ---- a thread that is kept from noticing what happens ---- */

static atomic_int kept; /* tid of the thread in the handler */
static atomic_bool keep;

HARNESS void stay(int signum)
{
    (void)signum;
    atomic_store(&kept, my_tid());
    while (atomic_load(&keep))
        sleep_ns(50 * US);
}

/* Puts a caller, which is asleep in its call, into a signal handler. */
HARNESS void keep_busy(caller *c)
{
    struct sigaction action = {.sa_handler = stay};

    atomic_store(&keep, true);
    ck_assert_int_eq(sigaction(SIGUSR1, &action, NULL), 0);
    ck_assert_int_eq(pthread_kill(c->thread, SIGUSR1), 0);
    WAIT_FOR(atomic_load(&kept) == atomic_load(&c->tid));
}

HARNESS void let_loose(void)
{
    atomic_store(&keep, false);
}

/* ---- the forms of a blocking call ---- */

typedef struct form {
    const char *name;
    void (*block)(void);             /* sets it up so that calls block */
    int (*call)(int64_t timeout_ns); /* returns 0, or -1 with errno */
    void (*satisfy)(void);           /* what one caller waits for happens */
    void (*open)(void);              /* sets it up so that a call need not block, or NULL */
} form;

static gil_thread_lock form_lock;
static gil_rlock form_rlock;
static gil_condition form_condition;
static gil_semaphore form_semaphore;
static gil_thread_event form_event;
static gil_barrier form_barrier;
static gil_queue form_queue;
static void *form_slots[1];
static gil_thread *form_thread;
static gil_timer *form_timer;
static atomic_int form_tid;   /* of the thread to join */
static atomic_int form_turns; /* that callers have to wait for */

HARNESS void nothing(void)
{
}

/* Lock */

HARNESS void lock_block(void)
{
    ck_assert_int_eq(gil_thread_lock_acquire(&form_lock, 0), 0);
}

HARNESS int lock_call(int64_t timeout_ns)
{
    return gil_thread_lock_acquire(&form_lock, timeout_ns);
}

HARNESS void lock_satisfy(void)
{
    ck_assert_int_eq(gil_thread_lock_release(&form_lock), 0);
}

/* RLock: the test's thread has it, and each caller passes it on. */

HARNESS void rlock_block(void)
{
    ck_assert_int_eq(gil_rlock_acquire(&form_rlock, 0), 0);
}

HARNESS int rlock_call(int64_t timeout_ns)
{
    if (gil_rlock_acquire(&form_rlock, timeout_ns) < 0)
        return -1;
    return gil_rlock_release(&form_rlock);
}

HARNESS void rlock_satisfy(void)
{
    ck_assert_int_eq(gil_rlock_release(&form_rlock), 0);
}

/* Condition, of either kind */

HARNESS void condition_block(void)
{
    gil_condition_init(&form_condition, &form_rlock);
}

HARNESS int condition_call(int64_t timeout_ns)
{
    int result;

    ck_assert_int_eq(gil_rlock_acquire(&form_rlock, -1), 0);
    result = gil_condition_wait(&form_condition, timeout_ns);
    ck_assert_uint_eq(gil_rlock_depth(&form_rlock), 1);
    gil_rlock_release(&form_rlock);
    return result;
}

HARNESS void condition_satisfy(void)
{
    ck_assert_int_eq(gil_rlock_acquire(&form_rlock, -1), 0);
    ck_assert_int_eq(gil_condition_notify(&form_condition, 1), 0);
    ck_assert_int_eq(gil_rlock_release(&form_rlock), 0);
}

HARNESS void plain_condition_block(void)
{
    gil_condition_init_lock(&form_condition, &form_lock);
}

HARNESS int plain_condition_call(int64_t timeout_ns)
{
    int result;

    ck_assert_int_eq(gil_thread_lock_acquire(&form_lock, -1), 0);
    result = gil_condition_wait(&form_condition, timeout_ns);
    ck_assert(gil_thread_lock_locked(&form_lock));
    gil_thread_lock_release(&form_lock);
    return result;
}

HARNESS void plain_condition_satisfy(void)
{
    ck_assert_int_eq(gil_thread_lock_acquire(&form_lock, -1), 0);
    ck_assert_int_eq(gil_condition_notify(&form_condition, 1), 0);
    ck_assert_int_eq(gil_thread_lock_release(&form_lock), 0);
}

HARNESS bool turn_has_come(void *arg)
{
    (void)arg;
    if (atomic_load(&form_turns) == 0)
        return false;
    atomic_fetch_sub(&form_turns, 1);
    return true;
}

HARNESS int wait_for_call(int64_t timeout_ns)
{
    int result;

    ck_assert_int_eq(gil_rlock_acquire(&form_rlock, -1), 0);
    result = gil_condition_wait_for(&form_condition, turn_has_come, NULL, timeout_ns);
    ck_assert_uint_eq(gil_rlock_depth(&form_rlock), 1);
    gil_rlock_release(&form_rlock);
    return result;
}

HARNESS void wait_for_satisfy(void)
{
    atomic_fetch_add(&form_turns, 1);
    condition_satisfy();
}

HARNESS void wait_for_open(void)
{
    condition_block();
    atomic_store(&form_turns, 1);
}

/* Semaphore */

HARNESS int semaphore_call(int64_t timeout_ns)
{
    return gil_semaphore_acquire(&form_semaphore, timeout_ns);
}

HARNESS void semaphore_satisfy(void)
{
    ck_assert_int_eq(gil_semaphore_release(&form_semaphore, 1), 0);
}

/* Event */

HARNESS int event_call(int64_t timeout_ns)
{
    return gil_thread_event_wait(&form_event, timeout_ns);
}

HARNESS void event_satisfy(void)
{
    gil_thread_event_set(&form_event);
}

/* Barrier */

HARNESS void barrier_block(void)
{
    ck_assert_int_eq(gil_barrier_init(&form_barrier, 2, NULL, NULL), 0);
}

HARNESS int barrier_call(int64_t timeout_ns)
{
    return gil_barrier_wait(&form_barrier, timeout_ns) < 0 ? -1 : 0;
}

HARNESS void barrier_satisfy(void)
{
    ck_assert_int_eq(gil_barrier_wait(&form_barrier, -1), 1);
}

/* Queue */

HARNESS void get_block(void)
{
    ck_assert_int_eq(gil_queue_init(&form_queue, form_slots, 1), 0);
}

HARNESS int get_call(int64_t timeout_ns)
{
    void *item = NULL;

    if (gil_queue_get(&form_queue, &item, timeout_ns) < 0) {
        ck_assert_ptr_null(item);
        return -1;
    }
    ck_assert_ptr_eq(item, &form_queue);
    return 0;
}

HARNESS void get_satisfy(void)
{
    ck_assert_int_eq(gil_queue_put(&form_queue, &form_queue, -1), 0);
}

HARNESS void get_open(void)
{
    get_block();
    get_satisfy();
}

HARNESS int put_call(int64_t timeout_ns)
{
    return gil_queue_put(&form_queue, &form_queue, timeout_ns);
}

HARNESS void put_satisfy(void)
{
    void *item;

    ck_assert_int_eq(gil_queue_get(&form_queue, &item, -1), 0);
    ck_assert_ptr_eq(item, &form_queue);
}

/* Join: the thread, or the timer's function, waits for the event. */

HARNESS void wait_for_event(void *arg)
{
    (void)arg;
    atomic_store(&form_tid, my_tid());
    ck_assert_int_eq(gil_thread_event_wait(&form_event, -1), 0);
}

HARNESS void join_block(void)
{
    gil_restore_thread(begun);
    ck_assert_uint_ne(gil_thread_start(&form_thread, NULL, wait_for_event, NULL), GIL_NO_THREAD);
    gil_save_thread();
}

HARNESS int join_call(int64_t timeout_ns)
{
    return gil_thread_join(form_thread, timeout_ns);
}

HARNESS void timer_block(void)
{
    gil_restore_thread(begun);
    form_timer = gil_timer_start(0, wait_for_event, NULL);
    ck_assert_ptr_nonnull(form_timer);
    gil_save_thread();
}

HARNESS void join_satisfy(void)
{
    char buf[64];

    WAIT_FOR(atomic_load(&form_tid) != 0);
    gil_thread_event_set(&form_event);
    WAIT_FOR(read_task_file(atomic_load(&form_tid), "comm", buf, sizeof buf) == 0);
}

HARNESS int timer_call(int64_t timeout_ns)
{
    return gil_timer_join(form_timer, timeout_ns);
}

static const form forms[] = {
    {"lock", lock_block, lock_call, lock_satisfy, nothing},
    {"wait_for", condition_block, wait_for_call, wait_for_satisfy, wait_for_open},
    {"semaphore", nothing, semaphore_call, semaphore_satisfy, semaphore_satisfy},
    {"get", get_block, get_call, get_satisfy, get_open},
    {"put", get_open, put_call, put_satisfy, get_block},
    {"rlock", rlock_block, rlock_call, rlock_satisfy, nothing},
    {"event", nothing, event_call, event_satisfy, event_satisfy},
    {"condition", condition_block, condition_call, condition_satisfy, NULL},
    {"condition of a plain lock", plain_condition_block, plain_condition_call,
     plain_condition_satisfy, NULL},
    {"barrier", barrier_block, barrier_call, barrier_satisfy, NULL},
    {"join", join_block, join_call, join_satisfy, NULL},
    {"timer join", timer_block, timer_call, join_satisfy, NULL},
};

enum {
    FORMS_FIFO = 5,   /* these serve callers in the order of arrival */
    FORMS_OPEN = 7,   /* these can be such that a call does not block */
    FORMS_SHARED = 9, /* these may have several callers that nothing but what they wait for wakes */
    FORMS_PLAIN = 10, /* these need no runtime */
    FORMS = sizeof forms / sizeof *forms,
};

#endif
