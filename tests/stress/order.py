"""In which order a thread takes its steps: what tests/model/lock.pml says, for replay.py.

The model is compiled with all its features and each tag made a statement. What spin then knows
about the process `thread` is an automaton: its edges are statements, those of tags among them. The
data are left out, but for `taken`: any other branch may always be taken. So what the automaton
refuses, the model does not do.
"""
import os
import re
import subprocess
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
MODEL = os.path.join(os.path.dirname(HERE), "model", "lock.pml")
FEATURES = ["N=3", "PLAIN", "DEFER", "YIELD", "HAND_ON", "TIMED=3", "EXIT", "LEAVE", "COMPUTE",
            "EARLY", "ANY", "SPURIOUS", "ERASE"]
TAG = re.compile(r"(?m)^(.+?)/\* T(\d+)\b[^*\n]*\*/")
EDGE = re.compile(r"\tstate +(\d+) -\(tr +\d+\)-> state +(\d+) .*? => (.*)")
TAGGED = re.compile(r"printf\('T(\d+)")

# A step is noted before it is done. These are a CAS, and mostly in a loop: where it fails, the thread
# is where it was, and the model has no step.
MAY_FAIL = {2, 5, 9, 10, 11, 16, 19, 20, 21, 23}


def one_tag(tag):
    """T1 to T3 are one step for a thread: which of them, the word tells."""
    return 2 if tag in (1, 3) else tag


def statements():
    """The statements of a thread, as spin tells them: (state, state after it, text)."""
    with open(MODEL) as file:
        text = file.read().replace("d_step", "atomic")  # spin does not look into a d_step
    text = TAG.sub(r'\1printf("T\2\\n");', text)
    with tempfile.TemporaryDirectory() as folder:
        with open(os.path.join(folder, "order.pml"), "w") as file:
            file.write(text)
        for command in (["spin", "-a", "-o3", *("-D" + f for f in FEATURES), "order.pml"],
                        ["gcc", "-O0", "-w", "-DSAFETY", "-o", "pan", "pan.c"], ["./pan", "-d"]):
            done = subprocess.run(command, cwd=folder, text=True, stdout=subprocess.PIPE,
                                  stderr=subprocess.STDOUT, check=False)
            if command[0] != "./pan" and done.returncode:
                raise SystemExit(f"order.py: {command[0]} failed:\n{done.stdout}")
    thread = done.stdout.split("proctype init")[0].split("\n")
    return [match.groups() for match in map(EDGE.match, thread) if match]


class Order:
    """Follows threads: `start` is where one begins, after() where it may be after a step. A place is
    a state of the model's thread, and its `taken`."""

    def __init__(self):
        self.out, self.known = {}, {}
        for state, then, text in statements():
            self.out.setdefault(state, []).append((text, then))
        self.start = frozenset([(next(iter(self.out)), False)])

    def moves(self, place):
        """Each (tag or None, place after it) from there."""
        state, taken = place
        here = self.out.get(state, ())
        asks = any(text == "(taken)" for text, _ in here)
        for text, then in here:
            if text in ("(taken)", "assert(taken)") and not taken:
                continue
            if text == "else" and asks and taken:
                continue
            tag = TAGGED.search(text)
            after = {"taken = 1": True, "taken = 0": False}.get(text, taken)
            yield one_tag(int(tag[1])) if tag else None, (then, after)

    def steps_from(self, place):
        """Each (tag, place after it) that may be the next step."""
        seen, to_do, steps = {place}, [place], []
        while to_do:
            for tag, then in self.moves(to_do.pop()):
                if tag:
                    steps.append((tag, then))
                elif then not in seen:
                    seen.add(then)
                    to_do.append(then)
        return steps

    def after(self, places, tag):
        """Where a thread may be that was at one of the places; empty: the model has no such step."""
        tag = one_tag(tag)
        if (places, tag) not in self.known:
            result = set()
            for place in places:
                then = [p for t, p in self.steps_from(place) if t == tag]
                result.update(then)
                if then and tag in MAY_FAIL:
                    result.add(place)
            if tag in (8, 15):  # the model goes back to T17, which does no harm: see defer_failed
                result |= self.after(frozenset(result), 17)
            self.known[places, tag] = frozenset(result)
        return self.known[places, tag]

    def anywhere(self, tag):
        """Where a thread may be after a step that the model did not expect."""
        every = ((state, taken) for state in self.out for taken in (False, True))
        return self.after(frozenset(every), tag)

    def expected(self, places):
        """The tags that could come next."""
        return sorted({tag for place in places for tag, _ in self.steps_from(place)})
