/* The counters: what they say of waits, hand-offs and holds, and the page in which others read
 * them: found by name, a page of its own for a forked child, and nothing lost of threads that have
 * ended or for which it has no room. */
#include "tests/unit/harness.h"

#include <dirent.h>
#include <sys/mman.h>
#include <sys/resource.h>

static gil_lock lock = GIL_LOCK_INIT;

/* ---- The page, as another process sees it. ---- */

/* The number of this process's file of counters, -1 if there is none; *count: how many there are. */
static int find_file(int *count)
{
    DIR *folder = opendir("/proc/self/fd");
    int found = -1;

    *count = 0;
    ck_assert_ptr_nonnull(folder);
    for (struct dirent *entry; (entry = readdir(folder));) {
        char name[300] = "";

        if (readlinkat(dirfd(folder), entry->d_name, name, sizeof name - 1) > 0 &&
            strcmp(name, "/memfd:" GIL_STATS_NAME " (deleted)") == 0) {
            found = atoi(entry->d_name);
            ++*count;
        }
    }
    closedir(folder);
    return found;
}

static int open_file(void)
{
    int count, fd = find_file(&count);

    ck_assert_int_eq(count, 1);
    return fd;
}

static const gil_stats_page *read_page(int fd)
{
    static gil_stats_page page;

    ck_assert_int_eq(pread(fd, &page, sizeof page, 0), sizeof page);
    return &page;
}

/* The entry of a thread and lock, NULL if there is none. */
static const gil_stats_entry *entry_of(const gil_stats_page *page, int tid, const gil_lock *l)
{
    for (uint32_t i = 0; i < page->used; i++)
        if (page->threads[i].stats.threads && page->threads[i].stats.tid == tid &&
            page->threads[i].lock == (uintptr_t)l)
            return &page->threads[i];
    return NULL;
}

/* What the page says of the threads without an entry of their own. */
static const gil_thread_stats *rest_of(const gil_stats_page *page, const gil_lock *l)
{
    for (int i = 1; i < GIL_STATS_LOCKS; i++)
        if (page->lock_of[i] == (uintptr_t)l)
            return &page->locks[i].stats;
    return &page->locks[0].stats;
}

static void use(gil_lock *l, int times)
{
    for (int i = 0; i < times; i++) {
        gil_lock_acquire(l);
        gil_lock_release(l);
    }
}

static void *use_ten_times(void *l)
{
    use(l, 10);
    return NULL;
}

START_TEST(the_page_is_found_among_the_open_files)
{
    const gil_stats_page *page;
    int fd;

    use(&lock, 3);
    fd = open_file();
    ck_assert_int_ge(fd, 512);
    ck_assert(fcntl(fd, F_GETFD) & FD_CLOEXEC);
    page = read_page(fd);
    ck_assert_uint_eq(page->magic, GIL_STATS_MAGIC);
    ck_assert_uint_eq(page->version, GIL_STATS_VERSION);
    ck_assert_uint_eq(page->size, sizeof *page);
    ck_assert_int_eq(page->pid, getpid());
    ck_assert_uint_le(page->started, (uint64_t)now_ns());
}
END_TEST

static rlim_t told; /* what the library is told is the limit of open files; 0: the truth */

int getrlimit(__rlimit_resource_t resource, struct rlimit *limit)
{
    int result = prlimit(0, resource, NULL, limit);

    if (told && resource == RLIMIT_NOFILE)
        limit->rlim_cur = told;
    return result;
}

int setrlimit(__rlimit_resource_t resource, const struct rlimit *limit)
{
    ck_assert_msg(!told, "a limit that is far is left alone");
    return prlimit(0, resource, limit, NULL);
}

/* Returns the hard limit, which stays. */
static rlim_t limit_files(rlim_t soft)
{
    struct rlimit limit;

    ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &limit), 0);
    limit.rlim_cur = soft;
    ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &limit), 0);
    return limit.rlim_max;
}

START_TEST(a_program_does_not_see_the_file_below_its_limit)
{
    struct rlimit limit;

    limit_files(600);
    use(&lock, 1);
    ck_assert_int_ge(open_file(), 600);
    ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &limit), 0);
    ck_assert_uint_eq(limit.rlim_cur, 600);
}
END_TEST

START_TEST(where_the_limit_is_far_the_number_is_not)
{
    told = 40000;
    use(&lock, 1);
    ck_assert_int_ge(open_file(), 512);
    ck_assert_int_lt(open_file(), 1024);
}
END_TEST

START_TEST(nobody_can_take_the_page_away)
{
    use(&lock, 1);
    ck_assert_int_eq(ftruncate(open_file(), 0), -1);
    ck_assert_int_eq(errno, EPERM);
    use(&lock, 1);
}
END_TEST

START_TEST(the_page_says_what_the_interface_says)
{
    gil_thread_stats mine;
    const gil_stats_entry *entry;

    use(&lock, 7);
    mine = stats_of(&lock, my_tid());
    entry = entry_of(read_page(open_file()), my_tid(), &lock);
    ck_assert_ptr_nonnull(entry);
    ck_assert_uint_eq(mine.acquires, 7);
    ck_assert_mem_eq(&entry->stats, &mine, sizeof mine);
}
END_TEST

START_TEST(a_thread_has_an_entry_a_lock)
{
    static gil_lock other = GIL_LOCK_INIT;
    const gil_stats_page *page;

    use(&lock, 2);
    use(&other, 3);
    use(&lock, 2);
    page = read_page(open_file());
    ck_assert_uint_eq(entry_of(page, my_tid(), &lock)->stats.acquires, 4);
    ck_assert_uint_eq(entry_of(page, my_tid(), &other)->stats.acquires, 3);
}
END_TEST

START_TEST(what_ended_threads_counted_stays)
{
    const gil_stats_page *page;

    use(&lock, 1);
    for (int i = 0; i < 5; i++)
        join(start(use_ten_times, &lock));
    page = read_page(open_file());
    ck_assert_uint_eq(rest_of(page, &lock)->threads, 5);
    ck_assert_uint_eq(rest_of(page, &lock)->acquires, 50);
    ck_assert_int_eq(rest_of(page, &lock)->tid, 0);
}
END_TEST

static atomic_int used;

static void *use_and_say_so(void *l)
{
    use(l, 10);
    atomic_store(&used, 1);
    return NULL;
}

/* It was missed by who looked for the entry of ended threads first, and found none. */
START_TEST(a_thread_that_is_ending_is_counted)
{
    for (int i = 0; i < 1000; i++) {
        gil_lock another = GIL_LOCK_INIT;
        pthread_t thread;

        atomic_store(&used, 0);
        thread = start(use_and_say_so, &another);
        while (!atomic_load(&used))
            ;
        for (int j = 0; j < 20; j++)
            ck_assert_uint_ge(stats_sum(&another).acquires, 10);
        join(thread);
        ck_assert_uint_eq(stats_sum(&another).acquires, 10);
        gil_lock_destroy(&another);
    }
}
END_TEST

START_TEST(what_was_counted_for_a_destroyed_lock_stays_with_the_process)
{
    gil_lock another = GIL_LOCK_INIT;
    const gil_stats_page *page;

    join(start(use_ten_times, &another));
    use(&another, 4);
    gil_lock_destroy(&another);
    use(&lock, 1); /* with the node that was the other's */
    page = read_page(open_file());
    ck_assert_uint_eq(page->locks[0].stats.acquires, 14);
    ck_assert_uint_eq(page->locks[0].stats.threads, 2);
    ck_assert_ptr_null(entry_of(page, my_tid(), &another));
}
END_TEST

START_TEST(threads_beyond_the_page_are_added_up)
{
    enum { MANY = 8 };
    gil_lock *locks = aligned_alloc(64, GIL_STATS_THREADS * sizeof *locks);
    const gil_thread_stats *rest;
    gil_thread_stats sum;
    pthread_t threads[MANY];

    memset(locks, 0, GIL_STATS_THREADS * sizeof *locks);
    join(start(use_ten_times, &lock)); /* there is an entry for this lock */
    for (int i = 0; i < GIL_STATS_THREADS; i++)
        use(&locks[i], 1);
    for (int i = 0; i < MANY; i++)
        threads[i] = start(use_ten_times, &lock);
    for (int i = 0; i < MANY; i++)
        join(threads[i]);
    use(&lock, 1);
    rest = rest_of(read_page(open_file()), &lock);
    ck_assert_uint_eq(rest->threads, MANY + 2);
    ck_assert_uint_eq(rest->acquires, 10 * MANY + 11);
    sum = stats_sum(&lock);
    ck_assert_uint_eq(sum.acquires, 10 * MANY + 11);
    ck_assert_uint_eq(stats_of(&lock, 0).threads, MANY + 2);
    free(locks);
}
END_TEST

START_TEST(a_forked_child_has_a_page_of_its_own)
{
    const gil_stats_page *page;
    int fd, count;
    pid_t pid;

    use(&lock, 5);
    fd = open_file();
    pid = fork();
    if (pid == 0) {
        use(&lock, 2);
        page = read_page(find_file(&count));
        _exit(count != 1 || page->pid != getpid() ||
              entry_of(page, my_tid(), &lock)->stats.acquires != 2);
    }
    check_child(pid);
    page = read_page(fd);
    ck_assert_int_eq(page->pid, getpid());
    ck_assert_uint_eq(entry_of(page, my_tid(), &lock)->stats.acquires, 5);
    ck_assert_ptr_null(entry_of(page, pid, &lock));
}
END_TEST

START_TEST(a_child_of_a_holder_goes_on_holding)
{
    pid_t pid;

    gil_lock_acquire(&lock);
    pid = fork();
    if (pid == 0) {
        gil_lock_release(&lock);
        use(&lock, 1);
        _exit(stats_of(&lock, my_tid()).acquires != 1);
    }
    check_child(pid);
    gil_lock_release(&lock);
}
END_TEST

START_TEST(a_program_that_closes_every_file_goes_on_counting)
{
    int count, fd;
    pid_t pid;

    limit_files(600);
    use(&lock, 1);
    fd = open_file();
    close(fd);
    use(&lock, 1);
    ck_assert_uint_eq(stats_of(&lock, my_tid()).acquires, 2);
    /* Its number may belong to something else by the time of a fork, which leaves that alone. */
    limit_files((rlim_t)fd + 1);
    ck_assert_int_eq(dup2(STDERR_FILENO, fd), fd);
    pid = fork();
    if (pid == 0)
        _exit(fcntl(fd, F_GETFD) < 0 || find_file(&count) < 0 || count != 1);
    check_child(pid);
    close(fd);
}
END_TEST

/* What looks for leaks at the end of a test opens files: so the limit is lifted again. */
START_TEST(without_a_file_the_process_counts_for_itself)
{
    rlim_t hard = limit_files(0);

    use(&lock, 3);
    join(start(use_ten_times, &lock));
    limit_files(hard);
    ck_assert_uint_eq(stats_sum(&lock).acquires, 13);
}
END_TEST

START_TEST(errno_stays_when_the_page_is_made)
{
    rlim_t hard = limit_files(0);

    errno = 77;
    use(&lock, 1);
    ck_assert_int_eq(errno, 77);
    limit_files(hard);
}
END_TEST

/* ---- Waits, hand-offs, holds. ---- */

static uint64_t total(const uint64_t *counts)
{
    uint64_t sum = 0;

    for (int i = 0; i < GIL_SLOTS; i++)
        sum += counts[i];
    return sum;
}

START_TEST(a_wait_is_in_the_histogram)
{
    uint64_t counts[GIL_SLOTS];
    gil_thread_stats ended;
    waiter w;

    gil_lock_acquire(&lock);
    waiter_start(&w, &lock, -1);
    gil_lock_release(&lock);
    waiter_end(&w);
    ended = stats_of(&lock, 0);
    ck_assert_int_eq(gil_lock_histogram(&lock, GIL_HISTOGRAM_WAIT, counts), 0);
    ck_assert_uint_eq(total(counts), 1);
    ck_assert_uint_eq(counts[gil_slot(ended.wait_ns)], 1);
    ck_assert_uint_eq(ended.wait_max_ns, ended.wait_ns);
}
END_TEST

START_TEST(a_histogram_has_the_waits_of_all_threads_that_ever_waited)
{
    uint64_t counts[GIL_SLOTS], sum = 0;
    gil_thread_stats all[8];
    member members[3];
    team t = {.lock = &lock};

    gil_lock_set_interval(&lock, 1 * MS);
    team_start(&t, members, 3);
    WAIT_FOR(atomic_load(&t.turns) > 20);
    team_end(&t, members, 3);
    ck_assert_int_eq(gil_lock_histogram(&lock, GIL_HISTOGRAM_WAIT, counts), 0);
    for (size_t i = gil_lock_stats(&lock, all, 8); i-- > 0;)
        sum += all[i].contended;
    ck_assert_uint_eq(total(counts), sum);
    ck_assert_uint_gt(sum, 10);
}
END_TEST

START_TEST(each_hand_over_is_a_hand_off_of_somebody)
{
    uint64_t counts[GIL_SLOTS];
    gil_thread_stats sum;
    member members[2];
    team t = {.lock = &lock};

    gil_lock_set_interval(&lock, 1 * MS);
    team_start(&t, members, 2);
    WAIT_FOR(atomic_load(&t.turns) > 20);
    team_end(&t, members, 2);
    sum = stats_of(&lock, 0);
    ck_assert_uint_gt(sum.handovers, 10);
    ck_assert_uint_eq(sum.handoffs, sum.handovers);
    ck_assert_uint_ge(sum.handoff_ns, sum.handoff_max_ns);
    ck_assert_int_eq(gil_lock_histogram(&lock, GIL_HISTOGRAM_HANDOFF, counts), 0);
    ck_assert_uint_eq(total(counts), sum.handoffs);
}
END_TEST

START_TEST(holds_between_waits_are_timed)
{
    gil_thread_stats sum;
    member members[2];
    team t = {.lock = &lock};

    gil_lock_set_interval(&lock, 2 * MS);
    team_start(&t, members, 2);
    WAIT_FOR(atomic_load(&t.turns) > 20);
    team_end(&t, members, 2);
    sum = stats_of(&lock, 0);
    ck_assert_uint_gt(sum.holds, 10);
    ck_assert_uint_le(sum.holds, sum.acquires);
    ck_assert_uint_ge(sum.hold_ns, sum.hold_max_ns);
    /* Each slice was an interval, and its thread computed in it. */
    ck_assert_uint_ge(sum.hold_ns / sum.holds, 1 * MS);
    ck_assert_uint_eq(sum.holds_partial, 0);
}
END_TEST

START_TEST(uncontended_holds_are_not_timed)
{
    use(&lock, 100);
    ck_assert_uint_eq(stats_of(&lock, my_tid()).holds, 0);
    ck_assert_uint_eq(stats_of(&lock, my_tid()).hold_ns, 0);
}
END_TEST

START_TEST(every_release_is_of_one_kind)
{
    eager e = {0};
    gil_thread_stats mine;

    eager_start(&e, &lock);
    defer_beside(&e);
    mine = stats_of(&lock, my_tid());
    ck_assert_uint_eq(gil_stats_voluntary(&mine) + mine.forced + mine.deferred,
                      mine.acquires + mine.deferred_back);
    ck_assert_uint_eq(mine.deferred, 1);
    gil_lock_release_complete(&lock);
    eager_end(&e);
}
END_TEST

START_TEST(there_are_two_histograms)
{
    uint64_t counts[GIL_SLOTS];

    ck_assert_int_eq(gil_lock_histogram(&lock, (gil_histogram)2, counts), -1);
    ck_assert_int_eq(errno, EINVAL);
    ck_assert_int_eq(gil_lock_histogram(&lock, GIL_HISTOGRAM_WAIT, counts), 0);
    ck_assert_uint_eq(total(counts), 0);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("stats");
    TCase *page = tcase_create("page"), *counters = tcase_create("counters");

    tcase_set_timeout(page, 30);
    tcase_set_timeout(counters, 30);
    tcase_add_test(page, the_page_is_found_among_the_open_files);
    tcase_add_test(page, a_program_does_not_see_the_file_below_its_limit);
    tcase_add_test(page, where_the_limit_is_far_the_number_is_not);
    tcase_add_test(page, nobody_can_take_the_page_away);
    tcase_add_test(page, the_page_says_what_the_interface_says);
    tcase_add_test(page, a_thread_has_an_entry_a_lock);
    tcase_add_test(page, what_ended_threads_counted_stays);
    tcase_add_test(page, a_thread_that_is_ending_is_counted);
    tcase_add_test(page, what_was_counted_for_a_destroyed_lock_stays_with_the_process);
    tcase_add_test(page, threads_beyond_the_page_are_added_up);
    tcase_add_test(page, a_forked_child_has_a_page_of_its_own);
    tcase_add_test(page, a_child_of_a_holder_goes_on_holding);
    tcase_add_test(page, a_program_that_closes_every_file_goes_on_counting);
    tcase_add_test(page, without_a_file_the_process_counts_for_itself);
    tcase_add_test(page, errno_stays_when_the_page_is_made);
    tcase_add_test(counters, a_wait_is_in_the_histogram);
    tcase_add_test(counters, a_histogram_has_the_waits_of_all_threads_that_ever_waited);
    tcase_add_test(counters, each_hand_over_is_a_hand_off_of_somebody);
    tcase_add_test(counters, holds_between_waits_are_timed);
    tcase_add_test(counters, uncontended_holds_are_not_timed);
    tcase_add_test(counters, every_release_is_of_one_kind);
    tcase_add_test(counters, there_are_two_histograms);
    suite_add_tcase(suite, page);
    suite_add_tcase(suite, counters);
    return run_suite(suite);
}
