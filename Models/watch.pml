/* Watches on a ready list: somebody sleeps elsewhere (a poller, a proxy, a descriptor) and is told of the next push.
 *
 * The head has one more sentinel, WATCHED. A watch is put into a set behind a lock; the sentinel is set, or confirmed
 * where a sleeper's stands, by a read-modify-write. Who takes a sentinel away, whichever it is, looks at a flag beside
 * the set, and if it is up takes the whole set and fires it. A sleeper's sentinel may stand in for WATCHED; a sleeper
 * that takes its own back puts WATCHED there again, or fires if something came in between.
 *
 * One consumer uses both ways by turns, as a thread does that polls and receives: it sleeps on the list itself (THREAD,
 * which may time out), or arms its watch and sleeps on its bell. A second watch (a descriptor beside a poller) is armed
 * and taken back by somebody else at any time.
 *
 *   -DN=  publications of each of two producers   -DTIMEOUTS=  waits of the thread that end early
 *   -DOTHERS=  arms of the second watch           -DBREAK=n  a broken variant (README.md)
 */
#ifndef N
#define N 1
#endif
#ifndef TIMEOUTS
#define TIMEOUTS 1
#endif
#ifndef OTHERS
#define OTHERS 1
#endif
#ifndef BREAK
#define BREAK 0
#endif
#define EMPTY 0
#define THREAD 1
#define WATCHED 2
#define NODE 3

byte head = EMPTY; byte next[2]; bit reasons[2];     /* atomic words; `next` is plain */
bit flag = 0;                                        /* atomic: whether the set may have a watch */
bit locked = 0; bit set[2];                          /* the set, behind its lock */
byte events = 0;                                     /* what the thread waits for on the list */
byte bell[2];                                        /* what the watches were told */
byte work[2], seen[2];                               /* ghosts of what is published and taken */
bit isThere = 1;                                     /* the second watch is not taken back any more */

inline lock() { d_step { !locked -> locked = 1 } }

inline tell() {
  if
  :: flag -> lock();
     d_step {
       if :: set[0] -> bell[0] = 1; set[0] = 0 :: else fi;
       if :: set[1] -> bell[1] = 1; set[1] = 0 :: else fi;
       flag = 0; locked = 0
     }
  :: else
  fi
}

/* Answers in `ok`: whether the watch is armed. */
inline arm(w) {
  lock();
#if BREAK != 1
  d_step { set[w] = 1; flag = 1 };
#endif
  do
  :: d_step { head == EMPTY -> head = WATCHED }; ok = 1; break
  :: d_step { head == THREAD || head == WATCHED }; ok = 1; break
  :: d_step { head >= NODE }; ok = 0; break
  od; skip;
#if BREAK == 1
  d_step { set[w] = ok; flag = set[0] || set[1]; locked = 0 }   /* puts itself down after the sentinel stands */
#else
  d_step { if :: !ok -> set[w] = 0; flag = set[0] || set[1] :: else fi; locked = 0 }
#endif
}

proctype Producer(byte p) {
  byte k = 0, h; bit old;
  do
  :: k == N -> break
  :: k < N -> k++; work[p] = k;
     d_step { old = reasons[p]; reasons[p] = 1 };
     if
     :: old -> skip
     :: else ->
        do
        :: h = head; next[p] = (h < NODE -> EMPTY : h);
           if
           :: d_step { head == h -> head = NODE + p }; break
           :: d_step { head != h }
           fi
        od;
        if
        :: h == THREAD -> tell(); events++           /* the sleeper's sentinel stood in for the watches' */
        :: h == WATCHED -> tell()
        :: else
        fi
     fi
  od
}

/* Somebody with a watch of its own. At the end it leaves it armed, or has seen the news. */
proctype Other() {
  byte n = 0; bit ok;
  do
  :: n == OTHERS -> break
  :: n < OTHERS -> n++;
     arm(1);
     if
     :: ok && n < OTHERS -> lock(); d_step { set[1] = 0; flag = set[0] || set[1]; locked = 0 }
     :: else
     fi
  od; skip;
  isThere = ok
}

proctype Consumer() {
  byte h, i, timeouts = 0; bit ok;
  do
  :: d_step { h = head; if :: h >= NODE -> head = EMPTY :: else fi };
     if
     :: h >= NODE ->
        do
        :: h < NODE -> break
        :: else -> i = h - NODE; h = next[i];
           d_step { assert(reasons[i]); reasons[i] = 0 };
           seen[i] = work[i]
        od
     :: else ->
        if
        :: true ->                                   /* polls */
           bell[0] = 0;
           arm(0);
           if
           :: ok ->
end_poll:     bell[0] -> skip
           :: else
           fi
        :: timeouts < TIMEOUTS ->                    /* receives; the last wait is no such one, so that it is polled */
           if
           :: d_step { head == EMPTY -> head = THREAD }
           :: d_step { head == WATCHED -> head = THREAD }
           :: d_step { head >= NODE }; goto again
           fi;
           if
           :: d_step { events > 0 -> events = 0 }
           :: true
           fi;
           timeouts++;
           if
           :: d_step { head == THREAD -> head = EMPTY };
              if
              :: flag ->
                 if
                 :: d_step { head == EMPTY -> head = WATCHED }
                 :: d_step { head >= NODE }; tell()
                 :: d_step { head == WATCHED }
                 fi
              :: else
              fi
           :: d_step { head != THREAD }
           fi
        fi
     fi;
again: skip
  od
}

/* At rest the consumer has seen everything and polls, and the second watch was told or is still armed. */
proctype Auditor() {
  timeout ->
  assert(seen[0] == N && seen[1] == N && set[0] && !locked);
  assert(!isThere || set[1] || bell[1]);
  assert(head == WATCHED)
}

init { atomic { run Producer(0); run Producer(1); run Other(); run Consumer(); run Auditor() } }

ltl served { <> (seen[0] == N && seen[1] == N) }
