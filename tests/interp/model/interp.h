/* The model interpreter: its state, its threads, and what its parts offer each other.
 *
 * It knows libgil only by its public interface. All that is in these structures belongs to whoever
 * holds the lock, but for what is set before the threads start. */
#ifndef MODEL_INTERP_H
#define MODEL_INTERP_H

#include <gil.h>

#include "code.h"
#include "object.h"

/* The interpreter: the host data of its gil_interpreter_state. */
typedef struct interp {
    object *globals[GLOBALS];
    code code;
    struct thread *running; /* who ran the last instruction */
    long switches;          /* how often that became somebody else */
} interp;

/* A thread of the interpreter: the dictionary of its gil_thread_state. */
typedef struct thread {
    interp *interp;
    object *locals[LOCALS];
    object *stack[STACK_MAX];
    int depth;
    long instructions; /* done so far */
    int from, to;      /* pipes: from the thread before it, and to the next */
    object *result;    /* NULL: it has raised */
    object *raised;
    unsigned long ident;
} thread;

/* Runs the interpreter's code in the calling thread to its end, and sets result or raised. */
void evaluate(thread *t);

/* The builtin functions, by enum builtin. Each leaves the argument to the caller, and gives the
 * lock up while it blocks. */
typedef object *builtin_fn(thread *t, object *argument);
extern builtin_fn *const builtins[BUILTINS];

#endif
