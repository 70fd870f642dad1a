/* The file of gil record: what is written is read back, a file that was cut off is good up to there,
 * damage is noticed, and what cannot be written or read is refused with one line. */
#define _GNU_SOURCE

#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tools/cli/record_file.h"
#include "tools/cli/record_format.h"

static char folder[] = "/tmp/gil-record-XXXXXX", path[64];

static void in_a_folder(void)
{
    ck_assert_ptr_nonnull(mkdtemp(folder));
    snprintf(path, sizeof path, "%s/record", folder);
}

static void remove_folder(void)
{
    unlink(path);
    rmdir(folder);
}

/* ---- what is written, and what is read ---- */

static const struct record_start start = {
    .time_ns = 5000000000, .wall_ns = 1700000000123456789, .tier = TRACER_FULL};

static const struct tracer_function handle = {.language = TRACER_PYTHON,
                                              .pid = 77,
                                              .name = "Server.handle",
                                              .file = "/srv/größe.py",
                                              .line = 12};

static const struct gil_event events[] = {
    {.kind = GIL_EVENT_HOLD,
     .time_ns = 5000001000,
     .duration_ns = 500,
     .lock = 0x7f0012345678,
     .pid = 77,
     .tid = 78,
     .place = {1, 14},
     .flags = GIL_EVENT_FORCED},
    /* Earlier than the one before, as from another processor. */
    {.kind = GIL_EVENT_WAIT,
     .time_ns = 5000000900,
     .duration_ns = 20000000,
     .lock = 0x7f0012345678,
     .pid = 77,
     .tid = 70,
     .place = {1, 15},
     .other = 78,
     .other_place = {1, 14}},
    {.kind = GIL_EVENT_BLAME,
     .time_ns = 5000000901,
     .duration_ns = 1,
     .lock = 1,
     .pid = 5,
     .tid = 6,
     .other = 4194304,
     .other_place = {RECORD_FUNCTIONS_MAX - 1, UINT32_MAX}},
    {.kind = GIL_EVENT_SWAP,
     .time_ns = 5000000902,
     .lock = UINT64_MAX,
     .pid = 77,
     .tid = 78,
     .swap = {.from = UINT64_MAX, .to = UINT64_MAX}},
    {.kind = GIL_EVENT_HANDOFF,
     .time_ns = 5000000903,
     .duration_ns = 40000,
     .pid = 77,
     .tid = 78,
     .other = 70,
     .delay_ns = 39999},
    {.kind = GIL_EVENT_IO,
     .time_ns = 5000000904,
     .duration_ns = 7,
     .pid = 77,
     .tid = 78,
     .flags = GIL_EVENT_INLINE,
     .io = {.op = -1, .fd = -100, .result = INT64_MIN}},
};

#define EVENTS (sizeof events / sizeof events[0])

struct seen {
    int processes, threads, functions, losses;
    size_t events;
};

static int see_process(const struct record_process *process, void *arg)
{
    ck_assert_int_eq(process->pid, 77);
    ck_assert_int_eq(process->ns_pid, 7);
    ck_assert_str_eq(process->name, "python3");
    ((struct seen *)arg)->processes++;
    return 0;
}

static int see_thread(const struct record_thread *thread, void *arg)
{
    ck_assert_int_eq(thread->pid, 77);
    ck_assert_int_eq(thread->tid, 78);
    ck_assert_int_eq(thread->ns_tid, 8);
    ck_assert_str_eq(thread->name, "worker?");
    ((struct seen *)arg)->threads++;
    return 0;
}

static int see_function(uint32_t number, const struct tracer_function *function, void *arg)
{
    ck_assert_uint_eq(number, 1);
    ck_assert_int_eq(function->language, handle.language);
    ck_assert_int_eq(function->pid, handle.pid);
    ck_assert_str_eq(function->name, handle.name);
    ck_assert_str_eq(function->file, handle.file);
    ck_assert_uint_eq(function->line, handle.line);
    ((struct seen *)arg)->functions++;
    return 0;
}

static int see_event(const struct gil_event *event, void *arg)
{
    struct seen *seen = arg;

    ck_assert_mem_eq(event, &events[seen->events % EVENTS], sizeof *event);
    seen->events++;
    return 0;
}

static int see_loss(unsigned int loss, const char *name, uint64_t count, void *arg)
{
    ck_assert_uint_eq(loss, GIL_LOSS_BUFFER);
    ck_assert_str_eq(name, "events");
    ck_assert_uint_eq(count, 17);
    ((struct seen *)arg)->losses++;
    return 0;
}

static const struct record_visitor visitor = {see_process, see_thread, see_function, see_event,
                                              see_loss};

static struct record_writer *create(void)
{
    struct record_writer *w;

    ck_assert_int_eq(record_writer_open(&w, path, &start), 0);
    return w;
}

static void write_names(struct record_writer *w)
{
    record_write_process(w, &(struct record_process){.pid = 77, .ns_pid = 7, .name = "python3"});
    record_write_thread(
        w, &(struct record_thread){.pid = 77, .tid = 78, .ns_tid = 8, .name = "worker\n"});
    record_write_function(w, 1, &handle);
    ck_assert_int_eq(record_write_loss(w, GIL_LOSS_BUFFER, "events", 17), 0);
}

static void write_events(struct record_writer *w)
{
    for (size_t i = 0; i < EVENTS; i++)
        ck_assert_int_eq(record_write_event(w, &events[i]), 0);
}

/* Reads the file; returns what visit returned. */
static int read_back(struct seen *seen, uint64_t *end_ns)
{
    struct record_reader *r;
    int status;

    memset(seen, 0, sizeof *seen);
    ck_assert_int_eq(record_reader_open(&r, path), 0);
    ck_assert_uint_eq(record_reader_start(r)->time_ns, start.time_ns);
    ck_assert_uint_eq(record_reader_start(r)->wall_ns, start.wall_ns);
    ck_assert_int_eq(record_reader_start(r)->tier, TRACER_FULL);
    ck_assert_str_ne(record_reader_start(r)->machine, "");
    status = record_reader_visit(r, &visitor, seen);
    *end_ns = record_reader_end(r);
    record_reader_close(r);
    return status;
}

static off_t file_size(void)
{
    struct stat status;

    ck_assert_int_eq(stat(path, &status), 0);
    return status.st_size;
}

START_TEST(what_is_written_is_read)
{
    struct record_writer *w = create();
    struct seen seen;
    uint64_t end_ns;

    write_names(w);
    write_events(w);
    ck_assert_int_eq(record_writer_finish(w, 9000000000), 0);
    ck_assert_int_eq((off_t)record_writer_bytes(w), file_size());
    record_writer_close(w);
    ck_assert_int_eq(read_back(&seen, &end_ns), 0);
    ck_assert_uint_eq(end_ns, 9000000000);
    ck_assert_int_eq(seen.processes + seen.threads + seen.functions + seen.losses, 4);
    ck_assert_uint_eq(seen.events, EVENTS);
}
END_TEST

START_TEST(many_chunks)
{
    struct record_writer *w = create();
    struct seen seen;
    uint64_t end_ns;

    for (int i = 0; i < 10000; i++)
        write_events(w);
    ck_assert_int_eq(record_writer_finish(w, 1), 0);
    record_writer_close(w);
    ck_assert_int_gt(file_size(), 3 * RECORD_CHUNK_MAX);
    ck_assert_int_eq(read_back(&seen, &end_ns), 0);
    ck_assert_uint_eq(seen.events, 10000 * EVENTS);
}
END_TEST

START_TEST(an_event_of_a_busy_thread_takes_20_bytes_at_most)
{
    struct record_writer *w = create();
    struct gil_event event = events[1];
    uint64_t before;

    record_write_event(w, &event);
    before = record_writer_bytes(w);
    for (int i = 0; i < 100; i++) {
        event.time_ns += 30000000;
        record_write_event(w, &event);
    }
    ck_assert_uint_le(record_writer_bytes(w) - before, 100 * 20);
    record_writer_close(w);
}
END_TEST

START_TEST(only_the_owner_may_read_it)
{
    struct stat status;

    umask(0);
    record_writer_close(create());
    ck_assert_int_eq(stat(path, &status), 0);
    ck_assert_int_eq(status.st_mode & 07777, 0600);
}
END_TEST

START_TEST(a_file_that_exists_is_left_alone)
{
    struct record_writer *w;
    int fd = open(path, O_WRONLY | O_CREAT, 0644);

    ck_assert_int_eq(write(fd, "mine", 4), 4);
    close(fd);
    ck_assert_int_eq(record_writer_open(&w, path, &start), -EEXIST);
    ck_assert_ptr_nonnull(strstr(record_writer_why(w), "/record is there already"));
    record_writer_close(w);
    ck_assert_int_eq(file_size(), 4);
}
END_TEST

START_TEST(a_long_name_is_cut)
{
    struct record_writer *w = create();
    char name[3 * RECORD_TEXT_MAX];
    struct seen seen;
    uint64_t end_ns;

    memset(name, 'x', sizeof name - 1);
    name[sizeof name - 1] = 0;
    for (int i = 0; i < 100; i++)
        record_write_event(w, &events[i % EVENTS]);
    for (int i = 0; i < 100; i++)
        record_write_function(w, RECORD_FUNCTIONS_MAX,
                              &(struct tracer_function){.name = name, .file = name});
    ck_assert_int_eq(record_writer_finish(w, 1), 0);
    record_writer_close(w);
    ck_assert_int_eq(read_back(&seen, &end_ns), 0);
}
END_TEST

/* ---- what was cut off, and damage ---- */

START_TEST(killed_after_a_flush)
{
    struct record_writer *w = create();
    struct seen seen;
    uint64_t end_ns;

    write_events(w);
    ck_assert_int_eq(record_writer_flush(w), 0);
    write_events(w);
    record_writer_close(w);
    ck_assert_int_eq(read_back(&seen, &end_ns), 0);
    ck_assert_uint_eq(end_ns, 0);
    ck_assert_uint_eq(seen.events, EVENTS);
}
END_TEST

START_TEST(cut_off_anywhere)
{
    struct record_writer *w = create();
    struct seen seen;
    uint64_t end_ns;
    off_t first;

    write_events(w);
    record_writer_flush(w);
    first = file_size();
    write_events(w);
    record_writer_finish(w, 1);
    record_writer_close(w);
    for (off_t size = file_size() - 1; size >= (off_t)sizeof(struct record_header); size--) {
        ck_assert_int_eq(truncate(path, size), 0);
        ck_assert_int_eq(read_back(&seen, &end_ns), 0);
        ck_assert_uint_eq(end_ns, 0);
        ck_assert_uint_eq(seen.events, size >= first ? EVENTS : 0);
    }
}
END_TEST

START_TEST(each_changed_bit_is_noticed)
{
    struct record_writer *w = create();
    struct seen seen;
    uint64_t end_ns;
    off_t first, size;
    int fd;

    write_events(w);
    record_writer_flush(w);
    first = file_size();
    write_events(w);
    record_writer_finish(w, 1);
    record_writer_close(w);
    size = file_size();
    fd = open(path, O_RDWR);
    for (off_t at = first; at < size; at++) {
        unsigned char byte, changed;

        if (at >= first + (off_t)offsetof(struct record_chunk_header, reserved) &&
            at < first + (off_t)sizeof(struct record_chunk_header))
            continue;
        ck_assert_int_eq(pread(fd, &byte, 1, at), 1);
        changed = byte ^ (unsigned char)(1 << at % 8);
        ck_assert_int_eq(pwrite(fd, &changed, 1, at), 1);
        /* A length beyond the end of the file looks as if it had been cut off. */
        read_back(&seen, &end_ns);
        ck_assert_uint_eq(end_ns, 0);
        ck_assert_uint_eq(seen.events, EVENTS);
        ck_assert_int_eq(pwrite(fd, &byte, 1, at), 1);
    }
    close(fd);
}
END_TEST

/* Opens a file with these bytes, which has to be refused; checks a part of the reason. */
static void refused(const void *bytes, size_t size, const char *why)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    struct record_reader *r;

    ck_assert_int_eq(write(fd, bytes, size), (ssize_t)size);
    close(fd);
    ck_assert_int_eq(record_reader_open(&r, path), -EINVAL);
    ck_assert_msg(strstr(record_reader_why(r), why), "'%s' has no '%s'", record_reader_why(r), why);
    ck_assert_ptr_null(strchr(record_reader_why(r), '\n'));
    record_reader_close(r);
}

START_TEST(what_is_no_record_is_refused)
{
    struct record_header header;
    struct record_reader *r;
    int fd;

    record_writer_close(create());
    fd = open(path, O_RDONLY);
    ck_assert_int_eq(read(fd, &header, sizeof header), sizeof header);
    close(fd);

    refused("", 0, "is empty");
    refused("\x7f"
            "ELF",
            4, "is not a file that gil record has written");
    refused(&header, 5, "was cut off within its header");
    refused(&header, sizeof header - 1, "was cut off within its header");
    header.version = 7;
    refused(&header, sizeof header, "is of version 7, and this gil reads version 1");
    refused(&header, 16, "is of version 7, and this gil reads version 1");
    header.version = RECORD_VERSION;
    header.wall_ns ^= 1;
    refused(&header, sizeof header, "is damaged");
    header.order = __builtin_bswap32(header.order);
    refused(&header, sizeof header, "of another byte order");

    unlink(path);
    ck_assert_int_eq(record_reader_open(&r, path), -ENOENT);
    ck_assert_ptr_nonnull(strstr(record_reader_why(r), "No such file"));
    record_reader_close(r);
    ck_assert_int_eq(record_reader_open(&r, folder), -EISDIR);
    record_reader_close(r);
}
END_TEST

/* ---- what cannot be written ---- */

START_TEST(a_full_disk_leaves_whole_chunks)
{
    struct rlimit limit = {RECORD_CHUNK_MAX * 3 / 2, RLIM_INFINITY};
    struct record_writer *w = create();
    struct seen seen;
    uint64_t end_ns;
    int status = 0;

    signal(SIGXFSZ, SIG_IGN);
    setrlimit(RLIMIT_FSIZE, &limit);
    for (int i = 0; i < 20000 && status == 0; i++)
        status = record_write_event(w, &events[i % EVENTS]);
    limit.rlim_cur = RLIM_INFINITY; /* libcheck writes a file, too */
    setrlimit(RLIMIT_FSIZE, &limit);
    ck_assert_int_eq(status, -EFBIG);
    ck_assert_ptr_nonnull(strstr(record_writer_why(w), "/record: File too large"));
    ck_assert_int_eq(record_write_event(w, &events[0]), -EFBIG);
    ck_assert_int_eq(record_writer_finish(w, 1), -EFBIG);
    record_writer_close(w);
    ck_assert_int_le(file_size(), RECORD_CHUNK_MAX + 100);
    ck_assert_int_eq(read_back(&seen, &end_ns), 0);
    ck_assert_uint_gt(seen.events, 1000);
}
END_TEST

/* Standard output is fd; the writer has to fail like that. */
static void cannot_write_to(int fd, int error, const char *why)
{
    struct record_writer *w;
    int saved = dup(STDOUT_FILENO), status;

    dup2(fd, STDOUT_FILENO);
    status = record_writer_open(&w, "-", &start);
    dup2(saved, STDOUT_FILENO);
    close(saved);
    ck_assert_int_eq(status, error);
    ck_assert_str_eq(record_writer_why(w), why);
    record_writer_close(w);
}

START_TEST(a_closed_pipe_and_a_full_device)
{
    int ends[2], full = open("/dev/full", O_WRONLY);

    signal(SIGPIPE, SIG_IGN);
    ck_assert_int_eq(pipe(ends), 0);
    close(ends[0]);
    cannot_write_to(ends[1], -EPIPE, "cannot write to standard output: Broken pipe");
    cannot_write_to(full, -ENOSPC, "cannot write to standard output: No space left on device");
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("record_file");
    TCase *tc = tcase_create("record_file");
    SRunner *runner;
    int failed;

    tcase_add_checked_fixture(tc, in_a_folder, remove_folder);
    tcase_add_test(tc, what_is_written_is_read);
    tcase_add_test(tc, many_chunks);
    tcase_add_test(tc, an_event_of_a_busy_thread_takes_20_bytes_at_most);
    tcase_add_test(tc, only_the_owner_may_read_it);
    tcase_add_test(tc, a_file_that_exists_is_left_alone);
    tcase_add_test(tc, a_long_name_is_cut);
    tcase_add_test(tc, killed_after_a_flush);
    tcase_add_test(tc, cut_off_anywhere);
    tcase_add_test(tc, each_changed_bit_is_noticed);
    tcase_add_test(tc, what_is_no_record_is_refused);
    tcase_add_test(tc, a_full_disk_leaves_whole_chunks);
    tcase_add_test(tc, a_closed_pipe_and_a_full_device);
    suite_add_tcase(suite, tc);
    runner = srunner_create(suite);
    srunner_set_tap(runner, "-");
    srunner_run_all(runner, CK_SILENT);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
