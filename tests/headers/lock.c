/* gil/lock.h alone, as C and as C++. */
#include <gil/lock.h>

#include <stddef.h>

static gil_lock lock = GIL_LOCK_INIT;

static void asked(gil_lock *which, void *arg)
{
    (void)which;
    (void)arg;
}

int main(void)
{
    int failed = 0;

    failed |= gil_lock_set_policy(&lock, GIL_FIFO);
    gil_lock_set_interval(&lock, GIL_INTERVAL_DEFAULT_NS);
    gil_lock_on_drop_request(&lock, asked, NULL);
    gil_lock_acquire(&lock);
    gil_lock_checkpoint(&lock);
    gil_lock_yield(&lock);
    failed |= !gil_lock_held(&lock) || gil_lock_drop_requested(&lock);
    gil_lock_release(&lock);
    failed |= gil_lock_try_acquire(&lock);
    failed |= gil_lock_release_deferred(&lock);
    gil_lock_release_complete(&lock);
    failed |= gil_lock_acquire_for(&lock, -1);
    gil_lock_release(&lock);
    failed |= gil_lock_get_interval(&lock) != GIL_INTERVAL_DEFAULT_NS;
    gil_lock_destroy(&lock);
    return failed;
}
