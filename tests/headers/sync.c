/* gil/sync.h alone, as C and as C++: each object, as far as one thread can use it. */
#include <gil/sync.h>

#include <gil/eval.h>

static int calls;

static void call(void *arg)
{
    *(int *)arg += 1;
}

static int act(void *arg)
{
    call(arg);
    return 0;
}

static bool is_called(void *arg)
{
    return *(int *)arg > 0;
}

static int locks(void)
{
    gil_thread_lock lock = {{0}};
    gil_rlock rlock = {{0}};
    gil_condition condition;
    int failed = gil_thread_lock_acquire(&lock, -1) != 0 || !gil_thread_lock_locked(&lock) ||
                 gil_thread_lock_acquire_uninterrupted(&lock, 0) == 0;

    gil_condition_init_lock(&condition, &lock);
    failed |= gil_condition_notify(&condition, 1) != 0 || gil_thread_lock_release(&lock) != 0;
    gil_condition_init(&condition, &rlock);
    failed |= gil_rlock_acquire(&rlock, 0) != 0 || gil_rlock_depth(&rlock) != 1;
    failed |= gil_condition_wait(&condition, 0) == 0;
    failed |= gil_condition_wait_for(&condition, is_called, &calls, -1) != 0;
    return failed || gil_condition_notify_all(&condition) != 0 || gil_rlock_release(&rlock) != 0;
}

static int counters(void)
{
    gil_semaphore semaphore;
    gil_thread_event event = {{0}};
    int failed;

    gil_semaphore_init(&semaphore, 0);
    failed = gil_semaphore_acquire(&semaphore, 1000) == 0;
    gil_bounded_semaphore_init(&semaphore, 1);
    failed |= gil_semaphore_acquire(&semaphore, -1) != 0;
    failed |= gil_semaphore_release(&semaphore, 1) != 0 || gil_semaphore_value(&semaphore) != 1;
    gil_thread_event_set(&event);
    failed |= !gil_thread_event_is_set(&event) || gil_thread_event_wait(&event, -1) != 0;
    gil_thread_event_clear(&event);
    return failed || gil_thread_event_wait(&event, 0) == 0;
}

static int meetings(void)
{
    gil_barrier barrier;
    gil_queue queue;
    void *slots[2], *item;
    int failed = gil_barrier_init(&barrier, 1, act, &calls) != 0;

    failed |= gil_barrier_wait(&barrier, -1) != 0 || gil_barrier_parties(&barrier) != 1;
    gil_barrier_abort(&barrier);
    failed |= !gil_barrier_broken(&barrier) || gil_barrier_waiting(&barrier) != 0;
    gil_barrier_reset(&barrier);
    failed |= gil_queue_init(&queue, slots, 2) != 0 || gil_queue_put(&queue, &calls, 0) != 0;
    failed |= gil_queue_size(&queue) != 1 || gil_queue_get(&queue, &item, -1) != 0;
    return failed || item != &calls;
}

static int timers(void)
{
    gil_timer *timer = gil_timer_start(0, call, &calls);
    int failed = !timer || gil_timer_join(timer, -1) != 0;

    timer = gil_timer_start(INT64_MAX, call, &calls);
    failed |= !timer || gil_timer_cancel(timer) != 0;
    gil_timer_detach(timer);
    return failed;
}

int main(void)
{
    int failed = gil_initialize(0) != 0;

    failed |= meetings() || locks() || counters() || timers();
    failed |= calls != 2;
    gil_finalize();
    return failed;
}
