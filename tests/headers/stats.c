/* gil/stats.h alone, as C and as C++. */
#include <gil/stats.h>

static gil_lock lock = GIL_LOCK_INIT;

int main(void)
{
    gil_thread_stats stats[2];

    gil_lock_acquire(&lock);
    gil_lock_release(&lock);
    return gil_lock_stats(&lock, stats, 2) != 1 || stats[0].acquires != 1 || stats[0].threads != 1;
}
