/* gil/stats.h alone, as C and as C++. */
#include <gil/stats.h>

static gil_lock lock = GIL_LOCK_INIT;

int main(void)
{
    gil_thread_stats stats[2];
    uint64_t waits[GIL_SLOTS];

    gil_lock_acquire(&lock);
    gil_lock_release(&lock);
    if (gil_lock_histogram(&lock, GIL_HISTOGRAM_WAIT, waits) != 0 || waits[0] != 0)
        return 1;
    return gil_lock_stats(&lock, stats, 2) != 1 || stats[0].acquires != 1 ||
           stats[0].threads != 1 || gil_stats_voluntary(&stats[0]) != 1;
}
