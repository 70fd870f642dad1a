#!/usr/bin/python3 -B
"""Replays a log of steps (STEPS=log LOG=FILE, see steps.h) against the rules of lib/lock.c.

    tests/stress/replay.py FILE

A step is noted just before it is done, in one order over all threads. For each lock:

 word    it has one of the forms of the table at the head of lock.c
 owner   what only the owner does is done by one thread, until that thread has done something that
         gives the lock up (T5, T6, T7, T8); then another may begin
 grant   a waiter notices a grant (T25) only after somebody granted it the lock (T6), once, since it
         pushed (T11)
 role    nobody sleeps (T20) without being responsible who pushed onto an empty stack, was not
         drained, and found no head named

Prints what breaks a rule, and how many steps were replayed; the exit status is 1 if any does.
"""
import struct
import sys

RECORD = struct.Struct("=QQQQQIHH")
LOCKED, HASQ, DEFERRED, FLAGS = 1, 2, 4, 63
WAITING, ROLE = 3, 255
OWNERS = {5, 6, 7, 8, 10, 13, 14, 16, 17, 24}  # only the owner takes these steps
GIVING = {5, 6, 7, 8}
FAULTS_SHOWN = 20


class Lock:
    """What has been seen of one lock."""

    def __init__(self):
        self.owner, self.last = None, None  # who took the last of the owner's steps, and which
        self.drains = 0


class Node:
    """What has been seen of one waiter."""

    def __init__(self):
        self.granted = False
        self.alone = False  # pushed onto an empty stack, with no head named, not drained since
        self.drains = 0


def word_is_well_formed(word):
    flags, node = word & FLAGS, word & ~FLAGS
    return flags == LOCKED or word in (0, HASQ) or (flags == DEFERRED and node)


def step(lock, node, tag, thread, word, head, state):
    """Takes one step; returns the rule that it breaks, or None."""
    fault = None
    if not word_is_well_formed(word):
        fault = f"word: {word:#x} has no such form"
    if tag in OWNERS:
        if lock.owner not in (None, thread) and lock.last not in GIVING:
            fault = f"owner: thread {lock.owner} still has the lock, its last step was T{lock.last}"
        lock.owner, lock.last = thread, tag
    if tag == 6:
        node.granted = True
    elif tag == 10:
        lock.drains += 1
    elif tag == 11:
        node.granted = False
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
    locks, nodes = {}, {}
    faults = 0
    for number, lock, node, word, head, state, tag, thread in records:
        if not lock:
            continue
        fault = step(locks.setdefault(lock, Lock()), nodes.setdefault(node, Node()), tag, thread,
                     word, head, state)
        if fault:
            faults += 1
            if faults <= FAULTS_SHOWN:
                print(f"step {number}: T{tag} by thread {thread} on node {node:#x}, lock {lock:#x},"
                      f" word {word:#x}, state {state}: {fault}")
    print(f"{len(records)} steps replayed, {faults} against a rule")
    return 1 if faults or not records else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
