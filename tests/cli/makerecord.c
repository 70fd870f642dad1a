/* Writes a record file with known contents, as gil record would, for the tests of gil report.
 *
 *   makerecord FILE full         a thread that holds the lock 20 ms, 50 times, and one that waits
 *   makerecord FILE contention   the same without holds
 *   makerecord FILE nothing      no events at all
 *   makerecord FILE names        names that mean something to terminals, JSON and XML
 *   makerecord FILE lost         with losses
 *   makerecord FILE killed       flushed once, then left as a killed recorder leaves it
 *   makerecord FILE many         a million events of many threads and functions */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tools/cli/record_file.h"

#define MS    UINT64_C(1000000)
#define START (UINT64_C(1000) * 1000 * MS)
#define LOCK  UINT64_C(0x7f0012345678)

enum { PID = 4000, BLOCKER = 4001, WAITER = 4002 };
enum { BLOCKING_CALL = 1, HANDLE, C_CALL };

static struct record_writer *w;

static void check(int status)
{
    if (status != 0) {
        fprintf(stderr, "makerecord: %s\n", record_writer_why(w));
        exit(1);
    }
}

static void event(struct gil_event e)
{
    e.pid = PID;
    e.lock = e.lock ? e.lock : LOCK;
    check(record_write_event(w, &e));
}

static void name_all(void)
{
    check(record_write_process(w, &(struct record_process){PID, 17, "python3"}));
    check(record_write_thread(w, &(struct record_thread){PID, PID, 17, "python3"}));
    check(record_write_thread(w, &(struct record_thread){PID, BLOCKER, 18, "blocker"}));
    check(record_write_thread(w, &(struct record_thread){PID, WAITER, 19, "waiter"}));
    check(record_write_function(
        w, BLOCKING_CALL,
        &(struct tracer_function){TRACER_PYTHON, PID, "blocking_call", "/srv/app/convoy.py", 12}));
    check(record_write_function(
        w, HANDLE,
        &(struct tracer_function){TRACER_PYTHON, PID, "Server.handle", "/srv/app/server.py", 30}));
    check(record_write_function(
        w, C_CALL, &(struct tracer_function){TRACER_C, PID, "PyObject_Call", "python3.11", 0}));
}

/* One round of 25 ms: a hold of 20 ms, of which the other thread waits 19 ms; then a short one. */
static void round_of(int i, bool holds)
{
    uint64_t begin = START + (uint64_t)i * 25 * MS;
    struct gil_place held = {BLOCKING_CALL, 14}, asked = {HANDLE, 33};

    if (holds)
        event((struct gil_event){.kind = GIL_EVENT_HOLD,
                                 .time_ns = begin + 20 * MS,
                                 .duration_ns = 20 * MS,
                                 .tid = BLOCKER,
                                 .place = held});
    event((struct gil_event){.kind = GIL_EVENT_HANDOFF,
                             .time_ns = begin + 20 * MS + 5000,
                             .duration_ns = 5000,
                             .tid = WAITER,
                             .other = BLOCKER,
                             .delay_ns = 1000});
    event((struct gil_event){.kind = GIL_EVENT_WAIT,
                             .time_ns = begin + 20 * MS + 5000,
                             .duration_ns = 19 * MS,
                             .tid = WAITER,
                             .place = asked,
                             .other = BLOCKER,
                             .other_place = held});
    if (holds)
        event((struct gil_event){.kind = GIL_EVENT_HOLD,
                                 .time_ns = begin + 21 * MS,
                                 .duration_ns = MS / 2,
                                 .tid = WAITER,
                                 .place = {HANDLE, 34},
                                 .flags = GIL_EVENT_FORCED});
    event((struct gil_event){.kind = GIL_EVENT_IO,
                             .time_ns = begin + 24 * MS,
                             .duration_ns = 2 * MS,
                             .tid = WAITER,
                             .io = {27, 5, 100}});
}

/* What happens once: a swap, a call that did not block, a hold that began before, a wait for two. */
static void odd_ones(bool holds)
{
    uint64_t end = START + 1300 * MS;

    event((struct gil_event){
        .kind = GIL_EVENT_SWAP, .time_ns = end, .tid = PID, .swap = {0x1000, 0x2000}});
    event((struct gil_event){.kind = GIL_EVENT_IO,
                             .time_ns = end + 1,
                             .duration_ns = 1000,
                             .tid = WAITER,
                             .io = {27, 5, -11},
                             .flags = GIL_EVENT_INLINE});
    event((struct gil_event){.kind = GIL_EVENT_BLAME,
                             .time_ns = end + 2 * MS,
                             .duration_ns = MS,
                             .tid = WAITER,
                             .other = PID,
                             .other_place = {C_CALL, 0}});
    event((struct gil_event){.kind = GIL_EVENT_BLAME,
                             .time_ns = end + 3 * MS,
                             .duration_ns = MS,
                             .tid = WAITER,
                             .other = BLOCKER,
                             .other_place = {BLOCKING_CALL, 14}});
    event((struct gil_event){.kind = GIL_EVENT_WAIT,
                             .time_ns = end + 3 * MS,
                             .duration_ns = 2 * MS,
                             .tid = WAITER,
                             .place = {HANDLE, 33},
                             .other = PID,
                             .other_place = {C_CALL, 0},
                             .flags = GIL_EVENT_SPLIT});
    if (holds)
        event((struct gil_event){.kind = GIL_EVENT_HOLD,
                                 .time_ns = end + 4 * MS,
                                 .duration_ns = 3 * MS,
                                 .tid = PID,
                                 .place = {C_CALL, 0},
                                 .flags = GIL_EVENT_PARTIAL});
}

static void hostile_names(void)
{
    check(record_write_process(w, &(struct record_process){PID, PID, "a;b \"\\\x1b[31m\n<&>"}));
    check(record_write_thread(w, &(struct record_thread){PID, WAITER, WAITER, "\xff]]>\r"}));
    check(record_write_function(
        w, HANDLE,
        &(struct tracer_function){TRACER_LUA, PID, "<größe>;\"f\\\"", "/a b/\xe2\x82.lua", 0}));
    event((struct gil_event){.kind = GIL_EVENT_HOLD,
                             .time_ns = START + MS,
                             .duration_ns = MS,
                             .tid = WAITER,
                             .place = {HANDLE, 3}});
    event((struct gil_event){.kind = GIL_EVENT_WAIT,
                             .time_ns = START + 2 * MS,
                             .duration_ns = MS,
                             .tid = WAITER,
                             .place = {HANDLE, 4},
                             .other = WAITER,
                             .other_place = {HANDLE, 4}});
}

static void many_events(void)
{
    for (uint32_t i = 0; i < 1000000; i++)
        event((struct gil_event){.kind = GIL_EVENT_HOLD,
                                 .time_ns = START + i * 1000,
                                 .duration_ns = i % 977,
                                 .tid = PID + i % 64,
                                 .place = {1 + i % 256, i % 1024}});
}

static void write_scenario(const char *scenario)
{
    bool holds = strcmp(scenario, "contention") != 0;

    if (strcmp(scenario, "nothing") == 0)
        return;
    if (strcmp(scenario, "names") == 0) {
        hostile_names();
        return;
    }
    name_all();
    if (strcmp(scenario, "many") == 0) {
        many_events();
        return;
    }
    for (int i = 0; i < 50; i++)
        round_of(i, holds);
    odd_ones(holds);
    if (strcmp(scenario, "lost") == 0) {
        check(record_write_loss(w, GIL_LOSS_BUFFER, "events: the buffer was full", 3));
        check(record_write_loss(w, GIL_LOSS_BUFFER, "events: the buffer was full", 17));
    }
}

int main(int argc, char **argv)
{
    struct record_start start = {
        .time_ns = START, .wall_ns = UINT64_C(1700000000000000000), .tier = TRACER_FULL};

    if (argc != 3)
        return 2;
    if (strcmp(argv[2], "contention") == 0)
        start.tier = TRACER_CONTENTION;
    check(record_writer_open(&w, argv[1], &start));
    write_scenario(argv[2]);
    check(strcmp(argv[2], "killed") == 0 ? record_writer_flush(w)
                                         : record_writer_finish(w, START + 2000 * MS));
    record_writer_close(w);
    return 0;
}
