"""What single calls cost in a process with one thread: calls.py DIRECTORY_OF_THE_MODULE."""
import json
import sys

sys.path.insert(0, sys.argv[1])

import callcost  # noqa: E402

print(json.dumps({"pair_ns": callcost.pair(), "mutex_ns": callcost.mutex(),
                  "foreign_ns": callcost.foreign()}))
