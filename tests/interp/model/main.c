/* A model interpreter on libgil: N threads run the same program on shared objects.
 *
 *     model [-p program] [-n threads] [-i check interval] [-r rounds] [-u pause in µs]
 *
 * -p is share, block, mixed (default) or forever, see code.h; forever is ended by an exception that
 * the main thread raises in the others. Without -i the check interval is not set.
 *
 * The first line printed is the results, which are the same for whatever check interval and whoever
 * runs when (but for forever); the second is how it went. Each result that is not what it must be,
 * every reference count included, is a line that begins with "wrong:", and the exit status is 1. */
#include "interp.h"

#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#define THREADS_MAX 256

/* When `forever` has run for long enough: the instructions of each thread, and how often another
 * one went on. */
#define FOREVER_INSTRUCTIONS 1000
#define FOREVER_SWITCHES     2000

static const struct program *program;
static int thread_count = 4, check_interval = -1;
static long rounds = 200, pause_us = 20;
static bool wrong;

static interp the_interp;
static thread threads[THREADS_MAX];
static int threads_here; /* that have had the lock */

static void fail(const char *what)
{
    perror(what);
    exit(2);
}

static void expect(const char *what, long got, long expected)
{
    if (got != expected) {
        printf("wrong: %s is %ld, not %ld\n", what, got, expected);
        wrong = true;
    }
}

static int64_t now_ns(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * INT64_C(1000000000) + t.tv_nsec;
}

/* ---- Before and after ---- */

static void interp_begin(interp *in)
{
    in->globals[ZERO] = number_new(0);
    in->globals[ONE] = number_new(1);
    in->globals[PAUSE] = number_new(pause_us);
    in->globals[ROUNDS] = number_new(rounds);
    in->globals[SHARED] = number_new(0);
    in->globals[BOWL] = list_new();
    in->globals[KEPT] = list_new();
    in->globals[COUNTER] = number_new(0);
    program_code(program, &in->code);
    gil_interpreter_state_set_data(gil_interpreter_state_get(), in);
}

static void interp_end(interp *in)
{
    for (int i = 0; i < GLOBALS; i++)
        drop(in->globals[i]);
    expect("objects left", objects_alive, 0);
}

/* A ring of pipes: each thread sends to the next. */
static void make_pipes(void)
{
    for (int i = 0; i < thread_count; i++) {
        int ends[2];

        if (pipe(ends) != 0)
            fail("pipe");
        threads[i].to = ends[1];
        threads[(i + 1) % thread_count].from = ends[0];
    }
}

static void close_pipes(void)
{
    for (int i = 0; i < thread_count; i++) {
        close(threads[i].from);
        close(threads[i].to);
    }
}

/* ---- Running ---- */

static void thread_main(void *arg)
{
    thread *t = arg;

    t->interp = gil_interpreter_state_data(gil_interpreter_state_get());
    /* The first one begins when the last one is awake. */
    threads_here++;
    while (threads_here < thread_count)
        gil_checkpoint();
    evaluate(t);
}

static bool have_run(void)
{
    for (int i = 0; i < thread_count; i++)
        if (threads[i].instructions < FOREVER_INSTRUCTIONS)
            return false;
    return thread_count == 1 || the_interp.switches >= FOREVER_SWITCHES;
}

/* Lets the threads run, and raises an exception in each. */
static void stop_threads(object *exception)
{
    struct timespec moment = {0, 1000000};

    while (!have_run()) {
        GIL_BEGIN_ALLOW_THREADS
        nanosleep(&moment, NULL);
        GIL_END_ALLOW_THREADS
    }
    for (int i = 0; i < thread_count; i++) {
        hold(exception); /* for the thread */
        expect("threads told", gil_thread_state_set_async_exc(threads[i].ident, exception, NULL),
               1);
    }
}

static void run_threads(void)
{
    object *exception = number_new(0);
    gil_thread *handles[THREADS_MAX];
    for (int i = 0; i < thread_count; i++) {
        threads[i].ident = gil_thread_start(&handles[i], NULL, thread_main, &threads[i]);
        if (threads[i].ident == GIL_NO_THREAD)
            fail("gil_thread_start");
    }
    if (!program->ends)
        stop_threads(exception);
    for (int i = 0; i < thread_count; i++)
        if (gil_thread_join(handles[i], -1) != 0)
            fail("gil_thread_join");
    if (!program->ends) {
        expect("references to the exception", exception->references, 1 + thread_count);
        for (int i = 0; i < thread_count; i++) {
            expect("raised in the thread", threads[i].raised == exception, 1);
            drop(exception);
        }
    }
    drop(exception);
}

/* ---- What must have come out ---- */

static long sum_of(const object *list)
{
    long sum = 0;

    for (long i = 0; i < list->value; i++) {
        expect("references to a number kept", list->items[i]->references, 1);
        sum += list->items[i]->value;
    }
    return sum;
}

static void check_shared(interp *in)
{
    object **g = in->globals;
    long each = program->shares && program->ends ? rounds : 0;
    long in_bowl = g[BOWL]->value;

    for (int i = 0; i < GLOBALS; i++)
        expect("references to a global", g[i]->references, i == SHARED ? 1 + in_bowl : 1);
    if (program->ends) {
        expect("length of BOWL", in_bowl, 0);
        expect("COUNTER", g[COUNTER]->value, thread_count * each);
    } else if (in_bowl > thread_count) {
        expect("length of BOWL", in_bowl, thread_count);
    }
    expect("length of KEPT", g[KEPT]->value, thread_count * each);
    expect("sum of KEPT", sum_of(g[KEPT]), thread_count * (each * (each - 1) / 2));
    expect("objects", objects_alive, GLOBALS + thread_count * each);
}

/* Returns the sum of the threads' results, and drops them. */
static long check_results(void)
{
    long expected = program->blocks ? rounds * (rounds - 1) / 2 : 0;
    long sum = 0;

    for (int i = 0; i < thread_count && program->ends; i++) {
        expect("result of a thread", threads[i].result->value, expected);
        sum += threads[i].result->value;
        drop(threads[i].result);
    }
    return sum;
}

static void report(interp *in, int64_t ns)
{
    long sum = check_results();
    long instructions = 0;

    check_shared(in);
    for (int i = 0; i < thread_count; i++)
        instructions += threads[i].instructions;
    printf("%s threads=%d rounds=%ld instructions=%ld counter=%ld kept=%ld results=%ld\n",
           program->name, thread_count, rounds, instructions, in->globals[COUNTER]->value,
           in->globals[KEPT]->value, sum);
    printf("interval=%d switches=%ld ns=%" PRId64 "\n", gil_get_check_interval(), in->switches, ns);
}

/* ---- The command ---- */

static void parse(int argc, char **argv)
{
    int option;

    program = program_named("mixed");
    while ((option = getopt(argc, argv, "p:n:i:r:u:")) != -1) {
        if (option == 'p')
            program = program_named(optarg);
        else if (option == 'n')
            thread_count = atoi(optarg);
        else if (option == 'i')
            check_interval = atoi(optarg);
        else if (option == 'r')
            rounds = atol(optarg);
        else if (option == 'u')
            pause_us = atol(optarg);
        else
            exit(2);
    }
    if (!program || thread_count < 1 || thread_count > THREADS_MAX || rounds < 1 || pause_us < 0) {
        fprintf(stderr, "model: no such program, or a number out of range\n");
        exit(2);
    }
}

int main(int argc, char **argv)
{
    int64_t start;

    parse(argc, argv);
    if (gil_initialize(0) != 0)
        fail("gil_initialize");
    if (check_interval >= 0)
        gil_set_check_interval(check_interval);
    interp_begin(&the_interp);
    make_pipes();
    start = now_ns();
    run_threads();
    report(&the_interp, now_ns() - start);
    close_pipes();
    interp_end(&the_interp);
    gil_finalize();
    return wrong;
}
