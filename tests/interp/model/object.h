/* Objects of the model interpreter: numbers, and lists of objects.
 *
 * Their counts are plain variables, as in any interpreter that has a lock: an object is touched
 * only while the lock is held, and is freed by whoever drops the last reference. A function leaves
 * the caller its reference, unless it says that it takes it over. */
#ifndef MODEL_OBJECT_H
#define MODEL_OBJECT_H

enum kind { NUMBER, LIST };

typedef struct object {
    long references;
    enum kind kind;
    long value; /* a list's length */
    long room;  /* how long a list may become before it has to grow */
    struct object **items;
} object;

/* How many objects there are. */
extern long objects_alive;

/* New objects, with one reference, the caller's. */
object *number_new(long value);
object *list_new(void);

/* Appends an item, and takes over the reference to it. */
void list_append(object *list, object *item);

/* Removes the last item, and returns the list's reference to it. The list is not empty. */
object *list_take(object *list);

/* One reference more. */
object *hold(object *o);

/* One reference less. */
void drop(object *o);

#endif
