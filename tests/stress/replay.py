#!/usr/bin/python3 -B
"""Replays a log of steps (STEPS=log LOG=FILE, see steps.h) against the model and the rules of
lib/lock.c.

    tests/stress/replay.py FILE

A step is noted just before it is done, in one order over all threads. For each lock:

 order   each thread's steps come in an order that the model has (order.py)
 word    it has one of the forms of the table at the head of lock.c
 owner   what only the owner does is done by one thread, until that thread has done something that
         gives the lock up (T5, T6, T7, T8); then another may begin; LOCKED is set meanwhile
 grant   a waiter is granted the lock (T6) at most once since it pushed (T11), and notices a grant
         (T25) only then
 state   what a node is doing when a step is taken on it is one of those in STATES
 flag    only a waiter that is not running has NODE_SLEEPING set: not when it takes a step itself
 role    nobody sleeps (T20) without being responsible who pushed onto an empty stack, was not
         drained, and found no head named

Not checked: who takes NODE_SLEEPING out. A waiter does that itself when its time has come, between
two steps.

Prints what breaks a rule, and how many steps were replayed; the exit status is 1 if any does.
"""
import struct
import sys

from order import Order

RECORD = struct.Struct("=QQQQQIHH")
LOCKED, HASQ, DEFERRED, FLAGS = 1, 2, 4, 63
IDLE, HELD, DEFERRING, WAITING, HEAD, WATCH, HEIR, GRANTED, ABANDONED, ORPHAN = range(10)
ROLE, SLEEPING = 255, 256
OWNERS = {5, 6, 7, 8, 10, 13, 14, 16, 17, 24}  # only the owner takes these steps
GIVING = {5, 6, 7, 8}
FAULTS_SHOWN = 20

# What a node may be doing when the step is taken, by the tag: as the step's own thread has left it,
# and what others may have made of it since. T10 has no node; at T15 it may be doing anything, since
# the lock is free: so a thread may find itself heir before it has pushed (T11).
WAITS = {WAITING, HEAD, WATCH, HEIR}
LINKED = WAITS | {ABANDONED, ORPHAN}
STATES = {
    1: {HELD}, 4: {DEFERRING}, 5: {HELD}, 8: {HELD}, 9: {IDLE}, 11: {WAITING, HEIR}, 17: {HELD},
    25: {GRANTED}, 26: {IDLE, HELD, ABANDONED},
    2: {IDLE, HELD, HEAD, WATCH, HEIR, GRANTED, ABANDONED},
    12: WAITS | {GRANTED},
    18: WAITS | {GRANTED, ABANDONED, IDLE},
    19: {HEAD, WATCH, HEIR, GRANTED},
    20: WAITS | {GRANTED},
    21: WAITS | {GRANTED},
    22: {ABANDONED, IDLE},
    23: {ABANDONED, IDLE},
    6: LINKED, 7: LINKED, 13: LINKED, 14: LINKED, 16: LINKED, 24: LINKED,
}
OTHERS = {6, 7, 13, 14, 15, 16, 24}  # steps on another thread's node


class Lock:
    """What has been seen of one lock."""

    def __init__(self):
        self.owner, self.last = None, None  # who took the last of the owner's steps, and which
        self.drains = 0


class Node:
    """What has been seen of one waiter."""

    def __init__(self):
        self.granted = False   # since it pushed, and noticed no grant
        self.grants = 0        # since it pushed
        self.alone = False  # pushed onto an empty stack, with no head named, not drained since
        self.drains = 0


def word_is_well_formed(word):
    flags, node = word & FLAGS, word & ~FLAGS
    return flags == LOCKED or word in (0, HASQ) or (flags == DEFERRED and node)


def step(lock, node, name, tag, thread, word, head, state):
    """Takes one step, on the node of that name (0: none); returns the rule it breaks, or None."""
    fault = None
    if not word_is_well_formed(word):
        fault = f"word: {word:#x} has no such form"
    if tag in OWNERS:
        if lock.owner not in (None, thread) and lock.last not in GIVING:
            fault = f"owner: thread {lock.owner} still has the lock, its last step was T{lock.last}"
        if not word & LOCKED:
            fault = f"owner: the word is {word:#x}"
        lock.owner, lock.last = thread, tag
    if name and tag in STATES and state & ROLE not in STATES[tag]:
        fault = f"state: {state & ROLE} is none of {sorted(STATES[tag])}"
    if tag not in OTHERS and state & SLEEPING:
        fault = "flag: it says that it sleeps"
    if tag == 6:
        if node.grants:
            fault = "grant: it was granted the lock before, in this wait"
        node.granted = True
        node.grants += 1
    elif tag == 10:
        lock.drains += 1
    elif tag == 11:
        node.granted, node.grants = False, 0
        node.alone, node.drains = not word & ~FLAGS, lock.drains
    elif tag == 25:
        if not node.granted:
            fault = "grant: nobody granted it the lock in this wait"
        node.granted = False
    if tag in (12, 20) and (head or lock.drains != node.drains):
        node.alone = False
    if tag == 20 and state & ROLE == WAITING and node.alone:
        fault = "role: it sleeps, and nobody is responsible"
    return fault


def main(path):
    with open(path, "rb") as file:
        data = file.read()
    records = sorted(RECORD.iter_unpack(data))
    order = Order()
    locks, nodes, places = {}, {}, {}
    faults = 0
    for number, lock, node, word, head, state, tag, thread in records:
        if not lock:
            continue
        fault = step(locks.setdefault(lock, Lock()), nodes.setdefault(node, Node()), node, tag,
                     thread, word, head, state)
        before = places.get((thread, lock), order.start)
        places[thread, lock] = order.after(before, tag)
        if not places[thread, lock]:
            fault = f"order: the model's thread would do one of {order.expected(before)}"
            places[thread, lock] = order.anywhere(tag)
        if fault:
            faults += 1
            if faults <= FAULTS_SHOWN:
                print(f"step {number}: T{tag} by thread {thread} on node {node:#x}, lock {lock:#x},"
                      f" word {word:#x}, state {state}: {fault}")
    print(f"{len(records)} steps replayed, {faults} against a rule")
    return 1 if faults or not records else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
