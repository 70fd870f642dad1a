/* The evaluation loop: a checkpoint before each instruction. */
#include "interp.h"

#include <stddef.h>

static void push(thread *t, object *o)
{
    t->stack[t->depth++] = o;
}

static object *pop(thread *t)
{
    return t->stack[--t->depth];
}

static long pop_number(thread *t)
{
    object *o = pop(t);
    long value = o->value;

    drop(o);
    return value;
}

static void store(thread *t, enum local local, object *o)
{
    object *before = t->locals[local];

    t->locals[local] = o;
    if (before)
        drop(before);
}

static void append(thread *t)
{
    object *item = pop(t);
    object *list = pop(t);

    list_append(list, item);
    drop(list);
}

static void take(thread *t)
{
    object *list = pop(t);

    push(t, list_take(list));
    drop(list);
}

static void call(thread *t, enum builtin number)
{
    object *argument = pop(t);

    push(t, builtins[number](t, argument));
    drop(argument);
}

/* Forgets all that a thread refers to. */
static void unwind(thread *t)
{
    while (t->depth > 0)
        drop(pop(t));
    for (int i = 0; i < LOCALS; i++)
        store(t, (enum local)i, NULL);
}

/* Somebody raised an exception in this thread: it is in the slot of the thread state. */
static void raise_here(thread *t)
{
    gil_exc_info *slot = gil_exc_info_slot();

    t->raised = slot->type;
    slot->type = NULL;
    unwind(t);
}

static void note_who_runs(thread *t)
{
    if (t->interp->running != t) {
        t->interp->running = t;
        t->interp->switches++;
    }
}

/* Does one instruction, and returns the number of the next, or -1 after the last one. */
static int step(thread *t, int at)
{
    instruction in = t->interp->code.at[at++];
    object **globals = t->interp->globals;
    long right;

    switch (in.op) {
    case GLOBAL:
        push(t, hold(globals[in.arg]));
        return at;
    case LOCAL:
        push(t, hold(t->locals[in.arg]));
        return at;
    case STORE:
        store(t, (enum local)in.arg, pop(t));
        return at;
    case ADD:
        right = pop_number(t);
        push(t, number_new(pop_number(t) + right));
        return at;
    case COUNT:
        globals[in.arg]->value += pop_number(t);
        return at;
    case APPEND:
        append(t);
        return at;
    case TAKE:
        take(t);
        return at;
    case JUMP:
        return in.arg;
    case JUMP_IF_LESS:
        right = pop_number(t);
        return pop_number(t) < right ? in.arg : at;
    case CALL:
        call(t, (enum builtin)in.arg);
        return at;
    case RETURN:
        t->result = pop(t);
        return -1;
    }
    return -1;
}

void evaluate(thread *t)
{
    int at = 0;

    while (at >= 0) {
        if (gil_checkpoint() != 0) {
            raise_here(t);
            return;
        }
        note_who_runs(t);
        at = step(t, at);
        t->instructions++;
    }
    unwind(t);
}
