/* Objects, and their reference counts: see object.h. */
#include "object.h"

#include <stdio.h>
#include <stdlib.h>

long objects_alive;

static void *must_have(void *memory)
{
    if (!memory) {
        perror("model");
        exit(2);
    }
    return memory;
}

static object *object_new(enum kind kind, long value)
{
    object *o = must_have(calloc(1, sizeof *o));

    o->references = 1;
    o->kind = kind;
    o->value = value;
    objects_alive++;
    return o;
}

object *number_new(long value)
{
    return object_new(NUMBER, value);
}

object *list_new(void)
{
    return object_new(LIST, 0);
}

void list_append(object *list, object *item)
{
    if (list->value == list->room) {
        list->room = list->room ? 2 * list->room : 8;
        list->items = must_have(realloc(list->items, (size_t)list->room * sizeof *list->items));
    }
    list->items[list->value++] = item;
}

object *list_take(object *list)
{
    return list->items[--list->value];
}

object *hold(object *o)
{
    o->references++;
    return o;
}

void drop(object *o)
{
    if (--o->references > 0)
        return;
    if (o->kind == LIST)
        for (long i = 0; i < o->value; i++)
            drop(o->items[i]);
    objects_alive--;
    free(o->items);
    free(o);
}
