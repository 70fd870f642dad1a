/* The programs: see code.h. */
#include "code.h"

#include <string.h>

static const struct program programs[] = {
    {"share", 1, 0, 1},
    {"block", 0, 1, 1},
    {"mixed", 1, 1, 1},
    {"forever", 1, 0, 0},
};

const struct program *program_named(const char *name)
{
    for (unsigned i = 0; i < sizeof programs / sizeof programs[0]; i++)
        if (strcmp(programs[i].name, name) == 0)
            return &programs[i];
    return NULL;
}

static void emit(code *c, enum opcode op, int arg)
{
    c->at[c->length++] = (instruction){op, arg};
}

/* local = local + what is on the stack */
static void emit_add_to(code *c, enum local local)
{
    emit(c, LOCAL, local);
    emit(c, ADD, 0);
    emit(c, STORE, local);
}

/* local = a zero that nobody else refers to */
static void emit_zero(code *c, enum local local)
{
    emit(c, GLOBAL, ZERO);
    emit(c, GLOBAL, ZERO);
    emit(c, ADD, 0);
    emit(c, STORE, local);
}

static void emit_share(code *c, const struct program *p)
{
    emit(c, GLOBAL, BOWL);
    emit(c, GLOBAL, SHARED);
    emit(c, APPEND, 0);
    emit(c, GLOBAL, BOWL);
    emit(c, TAKE, 0);
    emit(c, STORE, ITEM);
    if (p->ends) {
        emit(c, GLOBAL, KEPT);
        emit(c, LOCAL, I);
        emit(c, APPEND, 0);
    }
    emit(c, GLOBAL, ONE);
    emit(c, COUNT, COUNTER);
}

static void emit_block(code *c)
{
    emit(c, LOCAL, I);
    emit(c, CALL, WRITE);
    emit(c, STORE, ITEM);
    emit(c, GLOBAL, ZERO);
    emit(c, CALL, READ);
    emit_add_to(c, SUM);
    emit(c, GLOBAL, PAUSE);
    emit(c, CALL, SLEEP);
    emit(c, STORE, ITEM);
}

void program_code(const struct program *p, code *c)
{
    int top;

    c->length = 0;
    emit_zero(c, I);
    emit_zero(c, SUM);
    top = c->length;
    if (p->shares)
        emit_share(c, p);
    if (p->blocks)
        emit_block(c);
    emit(c, GLOBAL, ONE);
    emit_add_to(c, I);
    if (p->ends) {
        emit(c, LOCAL, I);
        emit(c, GLOBAL, ROUNDS);
        emit(c, JUMP_IF_LESS, top);
    } else {
        emit(c, JUMP, top);
    }
    emit(c, LOCAL, SUM);
    emit(c, RETURN, 0);
}
