/* The memory orders of the lock: each pair of accesses on which lock.c relies, alone, on a machine
 * that reorders as much as ARM does. lock.pml says what would follow if a pair failed.
 *
 * The machine: every thread has a store buffer. A store waits in it, and reaches memory at any
 * later time; those of one thread may overtake each other. A release store (the store of a CAS
 * with that order, too) reaches memory only after all that its thread has stored before. A seq_cst
 * load waits until the thread's seq_cst stores have reached memory; any other load does not, even
 * after a seq_cst CAS (as with ARM's exclusive loads and stores). A load may be done early, before
 * the one in front of it, unless that one is an acquire.
 *
 * Three shapes. "Look": each of two threads stores one variable and then loads the other; at least
 * one must see the other's store. "Pass": one stores data and then a flag; whoever sees the flag
 * must see the data. "Clear": a new owner clears drop and then looks who has given up, while a
 * waiter gives up and then sets drop; the owner must see that, or the request must stay.
 *
 * ORDERS: the accesses, each of which can be made weaker to see that its order is needed.
 *   PUSH_STORE   T11 push: look (invariant 3): weaker than seq_cst
 *   PUSH_LOOK    T12 the load of head after it: weaker than seq_cst
 *   HEAD_STORE   T13 the store of NULL into head: weaker than seq_cst
 *   HEAD_LOOK    T13 the load of the word after it: weaker than seq_cst
 *   GIVE_UP      T21 give up: look (invariant 4): weaker than seq_cst
 *   GIVE_UP_LOOK T22 the load of the word after it: weaker than seq_cst
 *   FREE         T7, T8, T9 free the word: weaker than seq_cst
 *   FREE_LOOK    T15 the look at the waiter after it: weaker than seq_cst
 *   ROLE         T19, T23 change one's own role: weaker than seq_cst
 *   ROLE_LOOK    the load of the word in take_if_free after it: weaker than seq_cst
 *   FREED        T5 and every other write that frees the word: pass: weaker than release
 *   TAKEN        T1 and every other CAS that sets LOCKED: weaker than acquire
 *   GRANT        T6 sets GRANTED: pass: weaker than release
 *   NOTICE       T25 the load of the state: weaker than acquire
 *   PUSHED       T11 push, for what is in the node: pass: weaker than release
 *   DRAIN        T10 drain without acquire
 *   UNLINK       T24 (T6) sets IDLE after unlinking a node: pass: weaker than release
 *   COME_BACK    T23, T26 the CAS that finds IDLE there: weaker than acquire
 *   END          T26 sets ORPHAN: pass: weaker than release
 *   REAP         T24, T6 the load or CAS that finds ORPHAN: weaker than acquire
 *   CLEAR        T2, T3 the new owner clears its own request: clear: weaker than seq_cst
 *   CLEAR_LOOK   T13 policy_next's load of the state after it: weaker than seq_cst
 *   ASK          T18 sets drop after T21: weaker than release
 *   RECYCLE      node_recycle, the CAS of the free list: pass: weaker than release
 *   POP          pool_pop, the CAS of the free list: weaker than acquire
 */

/* Nothing is weaker, unless it is named: spin -DWEAK=PUSH_LOOK. */
#ifndef WEAK
#define WEAK 0
#endif
#define PUSH_STORE   1
#define PUSH_LOOK    2
#define HEAD_STORE   3
#define HEAD_LOOK    4
#define GIVE_UP      5
#define GIVE_UP_LOOK 6
#define FREE         7
#define FREE_LOOK    8
#define ROLE         9
#define ROLE_LOOK    10
#define FREED        11
#define TAKEN        12
#define GRANT        13
#define NOTICE       14
#define PUSHED       15
#define DRAIN        16
#define UNLINK       17
#define COME_BACK    18
#define END          19
#define REAP         20
#define RECYCLE      21
#define POP          22
#define CLEAR        23
#define CLEAR_LOOK   24
#define ASK          25
#define weak(access) (WEAK == access)

bit memory[2];

/* A thread's store buffer: which variables have a 1 on its way, and which of them are seq_cst. */
typedef buffer {
    bool waits[2];
    bool sc[2];
};
buffer buffers[2];

bool seen[2]; /* what each thread has seen of the other's store */
bit last;     /* shape "clear": who stored variable 1 last */
byte done;

#define to_memory(t, v) \
    atomic { buffers[t].waits[v] -> memory[v] = 1; last = (v -> t : last); \
             buffers[t].waits[v] = false; buffers[t].sc[v] = false }

proctype machine()
{
end:
    do
    :: to_memory(0, 0)
    :: to_memory(0, 1)
    :: to_memory(1, 0)
    :: to_memory(1, 1)
    od
}

/* Stores variable t and loads the other one. */
proctype look(bit t; bool store_weak; bool load_weak)
{
    atomic { buffers[t].waits[t] = true; buffers[t].sc[t] = !store_weak };
    atomic {
        load_weak || !buffers[t].sc[t]; /* a seq_cst load waits for a seq_cst store */
        seen[t] = memory[1 - t];
        done++
    }
}

/* Stores the data, 0, and then the flag, 1. */
proctype pass(bool weak)
{
    buffers[0].waits[0] = true;
    atomic {
        weak || !buffers[0].waits[0]; /* a release waits for what was stored before */
        buffers[0].waits[1] = true
    }
}

/* Loads the flag and then the data. */
proctype receive(bool weak)
{
    bit flag, data;
    bool early;

    if
    :: weak -> data = memory[0]; early = true
    :: true
    fi;
    flag = memory[1];
    if
    :: !early -> data = memory[0]
    :: else
    fi;
    assert(!flag || data) /* who sees the flag sees the data */
}

/* The new owner: variable 1 is drop, 0 the other one's state. */
proctype clear(bool store_weak; bool load_weak)
{
    atomic { buffers[0].waits[1] = true; buffers[0].sc[1] = !store_weak };
    atomic { load_weak || !buffers[0].sc[1]; seen[0] = memory[0] };
    atomic { !buffers[0].waits[1]; done++ }
}

proctype ask(bool weak)
{
    buffers[1].waits[0] = true;
    atomic { weak || !buffers[1].waits[0]; buffers[1].waits[1] = true };
    atomic { !buffers[1].waits[0] && !buffers[1].waits[1]; done++ }
}

#define LOOK(a, b, c, d) run look(0, weak(a), weak(b)); run look(1, weak(c), weak(d)); \
                         done == 2; assert(seen[0] || seen[1])
#define PASS(a, b)       run pass(weak(a)); run receive(weak(b))
#define CLEARS(a, b, c)  run clear(weak(a), weak(b)); run ask(weak(c)); \
                         done == 2; assert(seen[0] || last == 1)

init {
    run machine();
    if
    :: LOOK(PUSH_STORE, PUSH_LOOK, HEAD_STORE, HEAD_LOOK)
    :: LOOK(GIVE_UP, GIVE_UP_LOOK, FREE, FREE_LOOK)
    :: LOOK(ROLE, ROLE_LOOK, FREE, FREE_LOOK)
    :: PASS(FREED, TAKEN)
    :: PASS(GRANT, NOTICE)
    :: PASS(PUSHED, DRAIN)
    :: PASS(UNLINK, COME_BACK)
    :: PASS(END, REAP)
    :: PASS(RECYCLE, POP)
    :: CLEARS(CLEAR, CLEAR_LOOK, ASK)
    fi
}
