"""One thread that computes: floats in objects, JSON, regular expressions, dictionaries."""
import json
import re

STEPS = 20


class Body:
    def __init__(self, number):
        self.place = [number * 1.5, number * -0.7, number * 0.3]
        self.speed = [0.01 * number, 0.02, -0.01 * number]


def advance(bodies, dt):
    for i, one in enumerate(bodies):
        for other in bodies[i + 1:]:
            gap = [a - b for a, b in zip(one.place, other.place)]
            pull = dt / (sum(g * g for g in gap) + 0.01) ** 1.5
            for axis in range(3):
                one.speed[axis] -= gap[axis] * pull
                other.speed[axis] += gap[axis] * pull
    for body in bodies:
        body.place = [p + dt * s for p, s in zip(body.place, body.speed)]


def count_words(text):
    words = {}
    for word in re.findall(r"[a-z]+(?:-[a-z]+)?", text):
        words[word] = words.get(word, 0) + 1
    return sorted(words.items(), key=lambda item: (-item[1], item[0]))


bodies = [Body(number) for number in range(1, 6)]
record = {"rows": [{"id": i, "name": f"row-{i}", "values": [i * 0.5] * 5} for i in range(200)]}
text = "the lazy dog looks on while a well-fed quick brown fox jumps over it, again and again " * 60
for _ in range(STEPS):
    for _ in range(150):
        advance(bodies, 0.001)
    for _ in range(10):
        json.loads(json.dumps(record))
    for _ in range(8):
        count_words(text)
