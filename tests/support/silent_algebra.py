"""Program in the place of the algebra's child process: it stops answering, and waits for the end of its input.

Its argument is the time for a comparison, as for the real one. With 0 it does not even say that it is ready, with 1 it
does, and with 2 it answers one comparison.
"""

import json
import sys

if __name__ == "__main__":
    answers = float(sys.argv[1])
    if answers > 0:
        print("ready", flush=True)
    if answers > 1:
        print(json.loads(sys.stdin.readline())[0], "true", flush=True)
    sys.stdin.read()
