/* The programs of the model interpreter, as code for its evaluation loop.
 *
 * Code works on a stack of references. The globals belong to the interpreter and are shared by its
 * threads; a thread has its own stack and locals. One instruction is done as a whole, and another
 * thread may run between any two. */
#ifndef MODEL_CODE_H
#define MODEL_CODE_H

enum opcode {
    GLOBAL,       /* push global number arg */
    LOCAL,        /* push local number arg */
    STORE,        /* pop, into local number arg */
    ADD,          /* pop two numbers, push their sum */
    COUNT,        /* pop a number, add it to the number that is global number arg, in place */
    APPEND,       /* pop an item and a list, append it */
    TAKE,         /* pop a list, push its last item, which it loses */
    JUMP,         /* go on at instruction arg */
    JUMP_IF_LESS, /* pop two numbers, go on at arg if the first pushed is less */
    CALL,         /* pop an argument, push what builtin function number arg returns */
    RETURN,       /* pop the result */
};

enum global { ZERO, ONE, PAUSE, ROUNDS, SHARED, BOWL, KEPT, COUNTER, GLOBALS };
enum local { I, SUM, ITEM, LOCALS };
enum builtin { WRITE, READ, SLEEP, BUILTINS };

/* Instructions in a program, and references on a stack, at most. */
#define CODE_MAX  64
#define STACK_MAX 4

typedef struct instruction {
    enum opcode op;
    int arg;
} instruction;

typedef struct code {
    instruction at[CODE_MAX];
    int length;
} code;

/* What every thread of a program does in each of its ROUNDS rounds:
 * - share: puts SHARED into the list BOWL and takes an item out of it again, appends the number of
 *   the round to the list KEPT, counts COUNTER up.
 * - block: sends the number of the round to the next thread, receives one from the thread before it
 *   and adds it to its result; sleeps PAUSE microseconds.
 * - mixed: both.
 * - forever: without end, share but for KEPT. */
struct program {
    const char *name;
    int shares, blocks, ends;
};

/* The program of that name, or NULL. */
const struct program *program_named(const char *name);

/* Its code. */
void program_code(const struct program *p, code *c);

#endif
