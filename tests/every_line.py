"""Let something happen at each line of somebody else's code in turn: in another thread, or as a signal handler would."""

import sys
import threading
from collections import Counter

import rfx

HERE = rfx.__file__.rpartition("/")[0]
BLOCKED_S = 0.02  # who has not come to an end by then waits for what the other has


class Interrupted:
    """Runs ``work`` in a thread, and ``other`` when that has come to its nth line in the files of rfx that are named.

    ``other`` runs in a thread of its own while ``work`` stands still (but for locks that ``work`` has: then both go on), or
    ``inside``, in the midst of ``work``. Lines count while ``counts()`` is true, each of them ``times`` times. Where
    ``holds()``, ``work`` has the lock that ``other`` will want. ``reached`` says whether there was an nth line.
    """

    def __init__(self, n, files, work, other, inside, counts, holds, times=1):
        self.left, self.files, self.reached, self.errors = n, files, False, []
        self.counts, self.holds, self.times, self.seen = counts, holds, times, Counter()
        self.other, self.inside, self.aside = other, inside, None
        runner = threading.Thread(target=self.run, args=(work,), daemon=True)
        runner.start()
        runner.join(20)
        assert not runner.is_alive(), f"line {n} hangs"
        if self.aside is not None:
            self.aside.join(20)
            assert not self.aside.is_alive(), f"line {n} hangs"

    def run(self, work):
        sys.settrace(self.called)
        try:
            work()
        except Exception as error:
            self.errors.append(error)
        finally:
            sys.settrace(None)

    def called(self, frame, event, arg):
        name = frame.f_code.co_filename
        return self.line if name.startswith(HERE) and name.rpartition("/")[2] in self.files else None

    def line(self, frame, event, arg):
        if event == "line" and not self.reached and self.counts():
            self.seen[frame.f_code.co_filename, frame.f_lineno] += 1
            self.left -= self.seen[frame.f_code.co_filename, frame.f_lineno] <= self.times
            if self.left < 0:
                self.reached = True
                if self.inside:
                    self.happen()
                else:
                    self.aside = threading.Thread(target=self.happen, daemon=True)
                    self.aside.start()
                    self.aside.join(BLOCKED_S / 10 if self.holds() else BLOCKED_S)
        return self.line

    def happen(self):
        try:
            self.other()
        except Exception as error:
            self.errors.append(error)
